// oidc-provider's configuration, and RFC 8693 by means of its own tokens.

import Provider, { errors } from 'oidc-provider';

const DAY = 24 * 60 * 60;
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

export function createProvider(issuer, tlsOrigin, config) {
  const ttl = config.access_token_ttl ?? 600;
  const resources = config.resources ?? {};
  const provider = new Provider(issuer, {
    clients: config.clients.map((client) => ({ redirect_uris: [], response_types: [], ...client })),
    clientAuthMethods: [
      'client_secret_basic',
      'client_secret_post',
      'client_secret_jwt',
      'private_key_jwt',
      'none',
      ...(tlsOrigin ? ['tls_client_auth', 'self_signed_tls_client_auth'] : []),
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: [
        ...['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
        ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
      ],
    },
    scopes: ['openid', 'offline_access', ...(config.scopes ?? [])],
    // These are given out without anyone having logged in.
    ttl: { AccessToken: ttl, ClientCredentials: ttl, RefreshToken: DAY, Grant: DAY },
    rotateRefreshToken: true,
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    discovery: {
      mtls_endpoint_aliases: tlsOrigin && { token_endpoint: `${tlsOrigin}/token` },
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo(_ctx, resource) {
          if (!Object.hasOwn(resources, resource)) throw new errors.InvalidTarget();
          // Opaque, so that it can be revoked.
          return { scope: resources[resource], accessTokenTTL: ttl, accessTokenFormat: 'opaque' };
        },
      },
      mTLS: {
        enabled: Boolean(tlsOrigin),
        tlsClientAuth: true,
        selfSignedTlsClientAuth: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => certificate(ctx.socket),
        certificateAuthorized: (ctx) => ctx.socket.authorized === true,
        certificateSubjectMatches(ctx, property, expected) {
          if (property !== 'tls_client_auth_san_dns') throw new Error(`no rule for ${property}`);
          return certificate(ctx.socket).checkHost(expected, { subject: 'never' }) !== undefined;
        },
      },
    },
    extraTokenClaims: (ctx) => ctx?.state?.act && { act: ctx.state.act },
  });

  provider.registerGrantType(
    TOKEN_EXCHANGE,
    (ctx) => exchange(provider, ctx),
    [
      'subject_token',
      'subject_token_type',
      'actor_token',
      'actor_token_type',
      'requested_token_type',
      'audience',
      'scope',
    ],
  );
  // Else the reason stays here.
  provider.on('server_error', (_ctx, error) => console.error(error));
  provider.on('grant.error', (_ctx, error) => console.error(error.error, error.error_description, error.error_detail));
  return provider;
}

// That of the client, if it has presented one.
export function certificate(socket) {
  return socket.getPeerX509Certificate?.();
}

// Whether a token is one, and still good, is oidc-provider's to say: `find` knows no others.
async function exchange(provider, ctx) {
  const { client, params } = ctx.oidc;
  const subject = await presented(provider, params.subject_token, params.subject_token_type);
  if (params.actor_token !== undefined || params.actor_token_type !== undefined) {
    const actor = await presented(provider, params.actor_token, params.actor_token_type);
    ctx.state.act = { sub: actor.accountId ?? actor.clientId };
  }
  if ((params.requested_token_type ?? ACCESS_TOKEN) !== ACCESS_TOKEN) {
    throw new errors.InvalidRequest('requested_token_type is not supported');
  }
  const scope = params.scope ?? subject.scope;
  if (scope?.split(' ').some((value) => !subject.scopes.has(value))) {
    throw new errors.InvalidScope('scope exceeds that of the subject_token', params.scope);
  }

  const token = new provider.AccessToken({
    accountId: subject.accountId,
    client,
    grantId: subject.grantId,
    gty: 'token_exchange',
    scope,
  });
  if (params.audience !== undefined) token.setAudience(params.audience);
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: ACCESS_TOKEN,
    token_type: token.tokenType,
    expires_in: token.expiration,
    scope,
  };
}

async function presented(provider, value, type) {
  const token = type === ACCESS_TOKEN ? await provider.AccessToken.find(value) : undefined;
  // RFC 8693 section 2.2.2.
  if (!token) throw new errors.InvalidRequest('subject_token or actor_token is not acceptable');
  return token;
}
