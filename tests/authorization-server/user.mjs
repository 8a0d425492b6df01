// The user: is asked to log in and to agree, and does both at once.

export function addUser(provider) {
  provider.use(async (ctx, next) => {
    if (ctx.method !== 'GET' || !ctx.path.startsWith('/user/')) return next();
    const { params } = await provider.interactionDetails(ctx.req, ctx.res);
    const grant = new provider.Grant({ accountId: 'ann', clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    const result = { login: { accountId: 'ann' }, consent: { grantId: await grant.save() } };
    ctx.respond = false;
    await provider.interactionFinished(ctx.req, ctx.res, result);
  });
}
