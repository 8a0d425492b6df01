// What a test asks for or does: counts, and what an administrator would end.

export function addTestRoutes(provider, counts) {
  const [accessTokens, refreshTokens, values] = [[], [], []];
  const remember = (event, tokens) => {
    provider.on(event, (token) => {
      tokens.push(token);
      values.push(token.jti);
    });
  };
  remember('access_token.saved', accessTokens);
  remember('client_credentials.saved', accessTokens);
  remember('refresh_token.saved', refreshTokens);
  provider.on('grant.error', (ctx, error) => {
    if (error.error_detail === 'refresh token already used') counts.reused += 1;
  });

  const endAccessTokens = () => Promise.all(accessTokens.splice(0).map((one) => one.destroy()));
  const endGrants = async () => {
    await endAccessTokens();
    const ids = new Set(refreshTokens.splice(0).map((one) => one.grantId));
    for (const id of ids) await (await provider.Grant.find(id))?.destroy();
    return ids.size;
  };
  const routes = {
    'GET /test/counts': () => counts,
    'GET /test/tokens': () => values,
    'POST /test/end-access-tokens': async () => ({ ended: (await endAccessTokens()).length }),
    'POST /test/end-grants': async () => ({ ended: await endGrants() }),
  };
  provider.use(async (ctx, next) => {
    const route = routes[`${ctx.method} ${ctx.path}`];
    if (!route) return next();
    ctx.body = await route();
  });
}
