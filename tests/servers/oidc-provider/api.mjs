// What stands beside the authorization server: a route that wants a token, and what a test asks and orders.

import { hash } from 'node:crypto';

import { certificate } from './provider.mjs';

export class Api {
  #provider;
  #held = [];
  #isHolding = false;
  #counters = { token_requests: 0, issued: 0, accepted: 0, rejected: 0, forbidden: 0 };

  constructor(provider) {
    this.#provider = provider;
    provider.on('grant.success', () => { this.#counters.issued += 1; });
  }

  // Whether the request was for this.
  answer(request, response) {
    const url = new URL(request.url, this.#provider.issuer);
    const routes = {
      'GET /api': () => this.#api(request, url.searchParams),
      'GET /admin/counters': () => reply(200, this.#counters),
      'POST /admin/revoke': async () => this.#revoke(await json(request)),
      'POST /admin/hold': async () => this.#hold(),
      'POST /admin/release': async () => this.#release(),
      'POST /admin/mint': async () => this.#mint(await json(request)),
    };
    if (request.method === 'POST' && url.pathname === '/token') this.#counters.token_requests += 1;
    const route = routes[`${request.method} ${url.pathname}`];
    route?.().catch((error) => {
      console.error(error);
      return reply(500, { error: String(error) });
    }).then(({ status, headers, body }) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(body));
    });
    return route !== undefined;
  }

  // Resolves when token requests may go on.
  passed() {
    return new Promise((resolve) => { this.#isHolding ? this.#held.push(resolve) : resolve(); });
  }

  #hold() {
    this.#isHolding = true;
    return reply(200, {});
  }

  #release() {
    this.#isHolding = false;
    for (const resolve of this.#held.splice(0)) resolve();
    return reply(200, {});
  }

  // RFC 6750, section 3.
  async #api(request, query) {
    const [, value] = /^Bearer ([\w.~+/-]+=*)$/i.exec(request.headers.authorization ?? '') ?? [];
    const { AccessToken, ClientCredentials } = this.#provider;
    const token = await AccessToken.find(value) ?? await ClientCredentials.find(value);
    if (!token?.isValid || !isOwners(token, request.socket)) {
      this.#counters.rejected += 1;
      const reason = value ? ', error="invalid_token", error_description="unknown, revoked or expired"' : '';
      return reply(401, { error: 'invalid_token' }, { 'www-authenticate': `Bearer realm="api"${reason}` });
    }
    const scope = query.get('scope');
    if (scope && !token.scopes.has(scope)) {
      this.#counters.forbidden += 1;
      const challenge = `Bearer realm="api", error="insufficient_scope", scope="${scope}"`;
      return reply(403, { error: 'insufficient_scope' }, { 'www-authenticate': challenge });
    }
    this.#counters.accepted += 1;
    return reply(200, {
      client_id: token.clientId,
      sub: token.accountId,
      aud: token.aud,
      scope: token.scope,
      act: token.extra?.act,
      cnf: token['x5t#S256'] && { 'x5t#S256': token['x5t#S256'] },
    });
  }

  async #revoke({ token: value }) {
    const { AccessToken, ClientCredentials } = this.#provider;
    const token = await AccessToken.find(value) ?? await ClientCredentials.find(value);
    await token?.destroy();
    return reply(200, { revoked: token ? 1 : 0 });
  }

  // What a user would have got by logging in and consenting.
  async #mint({ client_id: clientId, sub: accountId, scope }) {
    const provider = this.#provider;
    const client = await provider.Client.find(clientId);
    const grant = new provider.Grant({ accountId, clientId });
    grant.addOIDCScope(scope);
    const shared = {
      accountId, client, grantId: await grant.save(), gty: 'authorization_code', scope,
    };
    return reply(200, {
      refresh_token: await new provider.RefreshToken(shared).save(),
      access_token: await new provider.AccessToken(shared).save(),
    });
  }
}

// RFC 8705, section 3: a token that is bound to a certificate is good for its owner only.
function isOwners(token, socket) {
  const bound = token['x5t#S256'];
  const presented = certificate(socket);
  return !bound || (presented && hash('sha256', presented.raw, 'base64url') === bound);
}

async function reply(status, body, headers = {}) {
  return { status, headers, body };
}

async function json(request) {
  const chunks = await request.toArray();
  return JSON.parse(Buffer.concat(chunks).toString() || '{}');
}
