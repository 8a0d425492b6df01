// An API that asks the authorization server about each token that it is given.

const CREDENTIALS = `Basic ${Buffer.from('api:api-secret').toString('base64')}`;

export function serveApi(issuer, counts) {
  return async (request, response) => {
    const answer = await whoIs(issuer, request);
    counts.api[answer.status] = (counts.api[answer.status] ?? 0) + 1;
    response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
    response.end(JSON.stringify(answer.body));
  };
}

async function whoIs(issuer, request) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  const known = scheme === 'Bearer' ? await introspect(issuer, token) : { active: false };
  if (!known.active) {
    const headers = { 'www-authenticate': 'Bearer error="invalid_token"' };
    return { status: 401, headers, body: { error: 'invalid_token' } };
  }
  const { client_id: client, sub, scope } = known;
  return { status: 200, headers: {}, body: { client, sub, scope } };
}

async function introspect(issuer, token) {
  const answer = await fetch(`${issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: CREDENTIALS },
    body: new URLSearchParams({ token }),
  });
  return answer.json();
}
