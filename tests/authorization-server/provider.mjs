// The authorization server: oidc-provider with a client for each grant, and one user, who agrees to
// everything.

import { Provider } from 'oidc-provider';

import { JWT_BEARER, addJwtBearer } from './jwt-bearer.mjs';
import { addTestRoutes } from './test-routes.mjs';
import { addUser } from './user.mjs';

const none = { redirect_uris: [], response_types: [] };

const clients = [
  {
    client_id: 'service',
    client_secret: 'service-secret',
    grant_types: ['client_credentials'],
    scope: 'read write',
    ...none,
  },
  {
    client_id: 'app',
    client_secret: 'app-secret',
    token_endpoint_auth_method: 'client_secret_post',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['https://home.example.com/back'],
    response_types: ['code'],
  },
  {
    client_id: 'robot',
    token_endpoint_auth_method: 'none',
    grant_types: [JWT_BEARER],
    scope: 'read',
    ...none,
  },
  // The API, which asks whether a token is good.
  { client_id: 'api', client_secret: 'api-secret', grant_types: [], ...none },
];

export function makeProvider(issuer, tokenSeconds, counts) {
  // Ends are whole seconds, so that a token lives up to a second less than is told. A second more
  // makes what is told true.
  const life = tokenSeconds + 1;
  const provider = new Provider(issuer, {
    clients,
    cookies: { keys: ['of-the-tests'] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    interactions: { url: (ctx, interaction) => `/user/${interaction.uid}` },
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    pkce: { required: () => true },
    // Every refresh token is good for once; used again, the whole grant ends.
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access', 'read', 'write'],
    ttl: {
      AccessToken: life,
      ClientCredentials: life,
      AuthorizationCode: 60,
      Grant: 3600,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 3600,
      Session: 3600,
    },
  });
  provider.use(count(counts));
  addJwtBearer(provider, issuer);
  addUser(provider);
  addTestRoutes(provider, counts);
  return provider;
}

function count(counts) {
  return async (ctx, next) => {
    await next();
    if (ctx.oidc?.route !== 'token') return;
    const grant = ctx.oidc.params?.grant_type ?? 'none';
    counts.requests[grant] = (counts.requests[grant] ?? 0) + 1;
    if (ctx.status !== 200) counts.refused[grant] = (counts.refused[grant] ?? 0) + 1;
    if (ctx.body?.expires_in) ctx.body.expires_in -= 1;
  };
}
