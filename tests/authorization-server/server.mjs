// A real authorization server and an API behind it, each at a free port of this machine.
//
//     node server.mjs [--token-seconds N]
//
// The first line of output is JSON: `issuer` and `api`, the two origins. Ends with its standard
// input, so that it never outlives the test that started it.

import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import { serveApi } from './api.mjs';
import { makeProvider } from './provider.mjs';

const { values } = parseArgs({ options: { 'token-seconds': { type: 'string', default: '3600' } } });

const listen = async (server) => {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${server.address().port}`;
};

// What a test can ask for at `GET /test/counts`. Token requests are counted by grant type.
const counts = { requests: {}, refused: {}, reused: 0, api: {} };

const authorizationServer = createServer();
const issuer = await listen(authorizationServer);
const provider = makeProvider(issuer, Number(values['token-seconds']), counts);
authorizationServer.on('request', provider.callback());

const api = await listen(createServer(serveApi(issuer, counts)));

process.stdin.on('end', () => process.exit(0)).resume();
console.log(JSON.stringify({ issuer, api }));
