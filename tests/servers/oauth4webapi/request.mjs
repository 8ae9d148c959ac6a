// Reads token requests to make (a JSON array, see tests/wire_oauth4webapi), and prints what oauth4webapi
// would send for each. Nothing is sent.

import { text } from 'node:stream/consumers';

import * as oauth from 'oauth4webapi';

async function wouldSend(wish) {
  const server = { issuer: wish.issuer, token_endpoint: wish.token_endpoint };
  const client = { client_id: wish.client_id };
  let sent;
  const options = {
    [oauth.customFetch]: async (url, { method, headers, body }) => {
      sent = { method, url, headers, body: body.toString() };
      return Response.json({});
    },
  };
  const authentication = await authenticationBy(wish);
  const parameters = new URLSearchParams(wish.parameters);
  switch (wish.grant_type) {
    case 'client_credentials':
      await oauth.clientCredentialsGrantRequest(server, client, authentication, parameters, options);
      break;
    case 'refresh_token':
      options.additionalParameters = parameters;
      await oauth.refreshTokenGrantRequest(server, client, authentication, wish.refresh_token, options);
      break;
    default:
      await oauth.genericTokenEndpointRequest(
        server, client, authentication, wish.grant_type, parameters, options,
      );
  }
  return sent;
}

async function authenticationBy({ auth_method: method, client_secret: secret, private_key: key }) {
  switch (method) {
    case 'client_secret_basic':
      return oauth.ClientSecretBasic(secret);
    case 'client_secret_post':
      return oauth.ClientSecretPost(secret);
    case 'client_secret_jwt':
      return oauth.ClientSecretJwt(secret);
    case 'private_key_jwt': {
      const der = Buffer.from(key.pkcs8, 'base64');
      const usable = await crypto.subtle.importKey('pkcs8', der, key.algorithm, false, ['sign']);
      return oauth.PrivateKeyJwt({ key: usable, kid: key.kid });
    }
    case 'tls_client_auth':
      return oauth.TlsClientAuth();
    case 'none':
      return oauth.None();
    default:
      throw new Error(`no such method: ${method}`);
  }
}

const wishes = JSON.parse(await text(process.stdin));
const all = [];
for (const wish of wishes) all.push(await wouldSend(wish));
process.stdout.write(JSON.stringify(all));
