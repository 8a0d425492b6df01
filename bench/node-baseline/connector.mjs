// The connector `hello` on Node: the workspace protocol by hand, as a careful author would write it.
//
// It does what the protocol asks and no more: no telemetry, no check of arguments, no sandbox. The
// socket is one of `ws`, the HTTP calls are Node's own `fetch`.

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';

const ID = 'hello';
const VERSION = '0.1.0';
const AGENT = `${ID}/${VERSION}`;

const HTTP_TIME = 60_000;
const RETRY_HTTP = 5_000;
const RECONNECT = 1_000;
const PING_EVERY = 30_000;
const SERVER_SILENCE = 45_000;
const HEALTH_EVERY = 30_000;

const NOT_NAMES = new Set(['constructor', '__proto__', 'toString', 'toSource', 'prototype']);
const QUERY_ELEMENTS = 20;

const CONFIG_SCHEMA = { fields: {} };
const INTROSPECT = `
/**
 * say hello
 **/
declare function hello({name}: {
/**
Who is greeted. Default: the world.
 */
 name: string;
}): { hi: string; };
`;

/** The actions by name. */
const actions = new Map([
  ['hello', async ({ name }) => ({ hi: name ?? 'world' })],
]);

function variable(name, otherwise) {
  const value = process.env[name] ?? otherwise;
  if (value === undefined) {
    console.error(`${name} is not set`);
    process.exit(1);
  }
  return value;
}

const settings = {
  token: variable('REGISTRATION_TOKEN'),
  base: variable('DEVICE_ENDPOINT', 'https://connect.aloma.io/'),
  websocket: variable('WEBSOCKET_ENDPOINT', 'wss://connect.aloma.io/transport/'),
  name: variable('HOSTNAME', AGENT),
  deployment: variable('DEPLOYMENT', ''),
};

/** The form that the platform's ids have: a letter, then letters and digits, 32 in all. */
function freshId() {
  return `p${randomUUID().replaceAll('-', '').slice(1)}`;
}

// --- Registration: everything before the websocket.

let key = null;

async function post(path, authorization, body) {
  return fetch(settings.base + path, {
    method: 'POST',
    headers: {
      Authorization: `Connector ${authorization}`,
      'Content-Type': 'application/json',
      'User-Agent': AGENT,
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(HTTP_TIME),
  });
}

async function register() {
  const answer = await post('register', settings.token, {
    deployment: settings.deployment,
    name: settings.name,
    version: VERSION,
    id: ID,
    schema: { configSchema: CONFIG_SCHEMA, introspect: INTROSPECT },
  });
  if (!answer.ok) throw new Error(`authentication failed: status ${answer.status}`);
  key = (await answer.json()).key;
}

/** Announces a websocket; registers first where the workspace does not know us. */
async function announce() {
  let answer = await post('connect', key, {});
  if (answer.status === 401) {
    // The connection is free for the next call when the body has been read.
    await answer.arrayBuffer();
    await register();
    answer = await post('connect', key, {});
  }
  if (!answer.ok) throw new Error(`connect: status ${answer.status}`);
  await answer.json();
}

// --- The link: packets that are queued in one tick go out as one message.

class Link {
  #socket = null;
  #queue = [];
  #scheduled = false;

  send(packet) {
    this.#queue.push({ ...packet, id: freshId() });
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After everything that has arrived by now was looked at. A timer would wait a millisecond.
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush() {
    if (this.#queue.length === 0 || this.#socket?.readyState !== WebSocket.OPEN) return;
    const packets = this.#queue;
    this.#queue = [];
    this.#socket.send(JSON.stringify({ p: packets }));
  }

  /** Holds one conversation. Resolves when it is over, however it ends. */
  converse() {
    return new Promise((resolve) => {
      const socket = new WebSocket(settings.websocket, ['connector'], {
        headers: { Authorization: `Connector ${key}`, 'User-Agent': AGENT },
      });
      let pinger;
      let watchdog;
      const heard = () => {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => socket.terminate(), SERVER_SILENCE);
      };
      socket.on('open', () => {
        console.error('connected to the workspace');
        this.#socket = socket;
        pinger = setInterval(() => socket.ping(), PING_EVERY);
        heard();
        this.#schedule();
      });
      socket.on('ping', heard);
      socket.on('message', (message) => receive(message));
      socket.on('error', (error) => console.error(`socket: ${error.message}`));
      socket.on('close', () => {
        clearInterval(pinger);
        clearTimeout(watchdog);
        this.#socket = null;
        resolve();
      });
    });
  }

  close() {
    this.#socket?.close(1000);
  }
}

const link = new Link();

// --- What the workspace asks.

function receive(message) {
  let packets;
  try {
    packets = JSON.parse(message).p;
  } catch {
    console.error('a message that is no JSON; ignored');
    return;
  }
  if (!Array.isArray(packets)) return;
  for (const packet of packets) {
    // Without a method it is an answer, and we wait for none.
    if (packet?.m) void handle(packet);
  }
}

async function handle({ m: method, c: callback, a: args }) {
  try {
    const answer = await dispatch(method, args ?? {});
    if (callback !== undefined && answer !== undefined) link.send({ c: callback, a: answer });
  } catch (error) {
    if (callback !== undefined) link.send({ c: callback, a: { error: `${error}` } });
    else console.error(`${method}: ${error}`);
  }
}

function dispatch(method, args) {
  switch (method) {
    case 'connector.query':
      return query(args);
    case 'connector.set-config':
      return configure(args);
    case 'connector.introspect':
      return { configSchema: CONFIG_SCHEMA, introspect: INTROSPECT };
    default:
      throw new Error('cannot handle packet');
  }
}

async function query({ query: asked, variables }) {
  const path = (Array.isArray(asked) ? asked : [asked])
    .filter((name) => name && !NOT_NAMES.has(name))
    .slice(0, QUERY_ELEMENTS);
  const action = actions.get(path.join('.'));
  if (!action) throw new Error('method not found');
  const result = await action(variables ?? {});
  if (result === undefined || result === null) return {};
  return typeof result === 'object' && !Array.isArray(result)
    ? result
    : { [path.join(',')]: result };
}

let health;

function configure({ secrets }) {
  if (typeof secrets !== 'object' || secrets === null) throw new Error('no secrets');
  const report = () => link.send({ m: 'connector.health.check', a: { ok: true, error: null } });
  clearInterval(health);
  health = setInterval(report, HEALTH_EVERY);
  report();
}

// --- From the start to the end.

let leaving = false;

async function stop() {
  leaving = true;
  clearInterval(health);
  link.close();
  try {
    await post('disconnect', key, {});
  } catch {
    // Nobody is there to be told.
  }
  process.exit(0);
}

process.once('SIGTERM', stop);
process.once('SIGINT', stop);

while (!leaving) {
  try {
    await announce();
  } catch (error) {
    console.error(`not connected: ${error.message}`);
    await sleep(RETRY_HTTP);
    continue;
  }
  await link.converse();
  if (!leaving) await sleep(RECONNECT);
}
