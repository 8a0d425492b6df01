// The grant of RFC 7523: a token for an assertion that the client has signed.

import { generateKeyPairSync } from 'node:crypto';

import { jwtVerify } from 'jose';
import { errors } from 'oidc-provider';

export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

export function addJwtBearer(provider, issuer) {
  provider.use(nameClient);
  provider.registerGrantType(JWT_BEARER, exchange(provider, issuer), ['assertion', 'scope']);
  provider.use(async (ctx, next) => {
    if (ctx.path !== '/test/robot-key') return next();
    ctx.body = privateKey.export({ type: 'pkcs8', format: 'pem' });
  });
}

function exchange(provider, issuer) {
  return async (ctx) => {
    const { client, params } = ctx.oidc;
    try {
      await jwtVerify(params.assertion, publicKey, {
        audience: `${issuer}/token`,
        issuer: client.clientId,
        requiredClaims: ['exp', 'iat', 'sub'],
      });
    } catch (error) {
      throw new errors.InvalidGrant(error.message);
    }
    const token = new provider.ClientCredentials({ client, scope: params.scope });
    ctx.body = {
      access_token: await token.save(),
      expires_in: token.expiration,
      token_type: token.tokenType,
    };
  };
}

// Such a request needs no client (RFC 7521, 4.1), and oidc-provider wants one: it is who signs.
async function nameClient(ctx, next) {
  if (ctx.path === '/token' && !ctx.get('authorization')) {
    const chunks = [];
    for await (const chunk of ctx.req) chunks.push(chunk);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    if (form.has('assertion')) form.set('client_id', signer(form.get('assertion')));
    ctx.req.body = form.toString();
  }
  await next();
}

function signer(assertion) {
  try {
    return JSON.parse(Buffer.from(assertion.split('.')[1], 'base64url')).iss;
  } catch {
    return '';
  }
}
