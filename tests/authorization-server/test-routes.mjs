// What a test asks for or does: counts, and what an administrator would end.

export function addTestRoutes(provider, counts) {
  const [accessTokens, refreshTokens] = [[], []];
  provider.on('access_token.saved', (token) => accessTokens.push(token));
  provider.on('client_credentials.saved', (token) => accessTokens.push(token));
  provider.on('refresh_token.saved', (token) => refreshTokens.push(token));
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
    'POST /test/end-access-tokens': async () => ({ ended: (await endAccessTokens()).length }),
    'POST /test/end-grants': async () => ({ ended: await endGrants() }),
  };
  provider.use(async (ctx, next) => {
    const route = routes[`${ctx.method} ${ctx.path}`];
    if (!route) return next();
    ctx.body = await route();
  });
}
