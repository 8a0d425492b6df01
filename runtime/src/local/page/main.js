// The page: which connectors there are, which one is shown, and what happens as it happens.

import { announce, api, day, flagOf, h } from './dom.js';
import { actions, calls, eventLine } from './call.js';
import { configuration } from './form.js';

// Lines that the live log keeps: more than anybody scrolls through.
const LINES = 500;
const TABS = [['actions', 'Actions'], ['configuration', 'Configuration'], ['calls', 'Calls'], ['log', 'Log']];

const main = document.getElementById('main');
const state = { connectors: [], shown: null, tab: 'actions', action: {}, log: {}, panels: {} };

// The token is in the cookie now; it need not stay in the address, the history or a screenshot.
history.replaceState(null, '', location.pathname);
start();

async function start() {
  await refresh();
  const stream = new EventSource('/api/events');
  let lost = false;
  stream.onopen = () => {
    status('good', 'live');
    if (lost) {
      // Its numbers begin anew when the workspace does.
      delete state.panels.log;
      refresh();
    }
    lost = false;
  };
  stream.onerror = () => {
    lost = true;
    status('bad', 'the workspace does not answer');
  };
  stream.onmessage = (message) => happened(JSON.parse(message.data));
}

function status(kind, text) {
  const [dot, words] = document.getElementById('link').children;
  dot.className = `dot ${kind}`;
  words.textContent = text;
}

function happened(event) {
  if (event.kind === 'log' || event.kind === 'request' || event.kind === 'lost') return logged(event);
  if (event.kind === 'call') {
    if (event.connector === state.shown && state.tab === 'calls' && event.state !== 'running') showCalls();
    return undefined;
  }
  if (event.kind === 'connected' || event.kind === 'disconnected') announce(`${event.connector} ${event.kind}`);
  return soon();
}

// Several things happen at once when a connector joins; one look is enough.
let looking;
function soon() {
  clearTimeout(looking);
  looking = setTimeout(refresh, 100);
}

async function refresh() {
  try {
    state.connectors = (await api('connectors')).connectors;
  } catch (error) {
    if (error.status === 401) main.replaceChildren(h('p', { class: 'card' }, error.message));
    return;
  }
  if (!state.connectors.some(({ id }) => id === state.shown)) {
    const first = state.connectors.find(({ connected }) => connected) ?? state.connectors[0];
    state.shown = first?.id ?? null;
    state.panels = {};
  }
  showList();
  showConnector();
}

const shown = () => state.connectors.find(({ id }) => id === state.shown);

function showList() {
  document.getElementById('connectors').replaceChildren(...state.connectors.map((connector) => {
    const [kind, words] = condition(connector);
    return h('li', {}, h('button', {
      type: 'button',
      'aria-current': connector.id === state.shown ? 'true' : null,
      onclick: () => { state.shown = connector.id; state.panels = {}; showList(); showConnector(); main.focus(); },
    }, h('span', { class: `dot ${kind}`, title: words }), h('span', {}, connector.name || connector.id)));
  }));
}

function condition({ connected, health, lastSeen }) {
  if (!connected) return ['', `not connected, last seen ${day(lastSeen)}`];
  if (!health) return ['warn', 'connected, no word of its health yet'];
  return health.ok ? ['good', 'connected, healthy'] : ['bad', 'connected, not healthy'];
}

function showConnector() {
  const connector = shown();
  if (!connector) {
    main.replaceChildren(h('div', { class: 'card stack' }, h('h2', {}, 'No connector yet'),
      h('p', { class: 'soft' }, 'A connector shows here as soon as it has registered.')));
    return;
  }
  const old = main.querySelector('[data-connector]');
  if (old?.dataset.connector !== connector.id) {
    main.replaceChildren(h('div', { class: 'stack', 'data-connector': connector.id },
      h('div', { id: 'head' }), tabs(), TABS.map(([name, label]) =>
        h('section', { id: `panel-${name}`, role: 'tabpanel', 'aria-labelledby': `tab-${name}`, 'aria-label': label }))));
  }
  document.getElementById('head').replaceChildren(head(connector));
  showPanel();
}

function head(connector) {
  const [kind, words] = condition(connector);
  return h('div', { class: 'card stack' },
    h('div', { class: 'head' },
      connector.icon && h('img', { src: `data:image/png;base64,${connector.icon}`, alt: '' }),
      h('div', {}, h('h2', {}, connector.name || connector.id),
        h('p', { class: 'row small soft' }, h('span', {}, h('span', { class: `dot ${kind}` }), words),
          h('span', {}, `version ${connector.version || 'unknown'}`), h('span', {}, 'id ', h('code', {}, connector.id))),
        connector.summary && h('p', { class: 'doc' }, connector.summary))),
    connector.health && !connector.health.ok && h('ul', { class: 'box bad', 'aria-label': 'Problems' },
      connector.health.problems.map((problem) => h('li', {}, problem))),
    connector.asks?.length > 0 && h('details', { class: 'small' },
      h('summary', {}, `Asks to reach ${connector.asks.length} ${connector.asks.length === 1 ? 'place' : 'places'}`),
      h('ul', { class: 'asks' }, h('li', { class: 'soft' }, 'Asking grants nothing; whoever starts the connector does.'),
        connector.asks.map((asked) => ask(connector, asked)))));
}

function ask(connector, { origin, reason }) {
  const real = origin.replace(/^\{\{(.*)\}\}$/, (_, key) => originOf(connector.fields.find((one) => one.key === key)?.value));
  return h('li', {}, h('code', {}, origin), reason, real && flagOf(`--allow ${real}`));
}

function originOf(url) {
  return URL.canParse(url ?? '') ? new URL(url).origin : '';
}

// ---- tabs ----

function tabs() {
  const buttons = TABS.map(([name, label]) => h('button', {
    type: 'button', role: 'tab', id: `tab-${name}`, 'aria-controls': `panel-${name}`, onclick: () => open(name),
  }, label));
  return h('div', { role: 'tablist', 'aria-label': 'Connector', onkeydown: arrows }, buttons);
}

function arrows(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const names = TABS.map(([name]) => name);
  open(names[(names.indexOf(state.tab) + step + names.length) % names.length]);
  document.getElementById(`tab-${state.tab}`).focus();
}

function open(name) {
  state.tab = name;
  showPanel();
}

function showPanel() {
  for (const [name] of TABS) {
    const selected = name === state.tab;
    const tab = document.getElementById(`tab-${name}`);
    tab.setAttribute('aria-selected', String(selected));
    tab.tabIndex = selected ? 0 : -1;
    document.getElementById(`panel-${name}`).hidden = !selected;
  }
  ({ actions: showActions, configuration: showConfiguration, calls: showCalls, log: showLog })[state.tab]();
}

/** Fills a panel unless it shows the same already: somebody may be writing in it. */
function fill(name, what, make) {
  const key = JSON.stringify(what);
  if (state.panels[name] === key) return;
  state.panels[name] = key;
  document.getElementById(`panel-${name}`).replaceChildren(make());
}

function showActions() {
  const connector = shown();
  const chosen = state.action[connector.id];
  const what = [connector.id, connector.actions, chosen, connector.actions.length === 0 && connector.connected];
  fill('actions', what, () => actions(connector, chosen, (name) => {
    state.action[connector.id] = name;
    showActions();
  }));
}

function showConfiguration() {
  const connector = shown();
  fill('configuration', [connector.id, connector.fields], () => configuration(connector, async (values) => {
    await api(`connectors/${encodeURIComponent(connector.id)}/config`, 'PUT', values);
    delete state.panels.configuration;
    await refresh();
    const panel = document.getElementById('panel-configuration');
    panel.querySelector('[role="status"]').textContent = 'Saved.';
    panel.querySelector('button.main').focus();
  }, (place) => signIn(connector, place)));
}

async function signIn(connector, place) {
  place.textContent = 'Asking the connector…';
  try {
    const { url } = await api(`connectors/${encodeURIComponent(connector.id)}/oauth/start`, 'POST');
    place.replaceChildren(h('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, 'Go on to sign in'));
    place.firstChild.focus();
  } catch (error) {
    place.textContent = error.message;
  }
}

async function showCalls() {
  const connector = shown();
  const list = await calls(connector).catch((error) => h('p', { class: 'card' }, error.message));
  const panel = document.getElementById('panel-calls');
  // A call that is open to be read is not taken away.
  const reading = panel.querySelector('[aria-expanded="true"]');
  if (connector.id === state.shown && !(reading && state.panels.calls === connector.id)) panel.replaceChildren(list);
  state.panels.calls = connector.id;
}

// ---- the live log ----

async function showLog() {
  const { id } = shown();
  if (state.panels.log === id) return;
  state.panels.log = id;
  const list = h('ol', { class: 'events tall', role: 'log', 'aria-live': 'off', 'aria-label': 'Log lines and requests', tabindex: '0' });
  const empty = h('p', { class: 'soft' }, 'Nothing was logged yet. Log lines and requests show here as they happen.');
  const clear = h('button', { type: 'button', class: 'low', onclick: () => list.replaceChildren() }, 'Clear');
  document.getElementById('panel-log').replaceChildren(
    h('div', { class: 'card stack' }, h('div', { class: 'row between' }, empty, clear), list));
  const { events } = await api(`connectors/${encodeURIComponent(id)}/events`).catch(() => ({ events: [] }));
  state.log = { id, list, empty, last: events.at(-1)?.number ?? 0 };
  events.slice(-LINES).forEach(addLine);
}

function logged(event) {
  const { id, last } = state.log;
  if (state.panels.log === id && event.connector === id && event.number > last) addLine(event);
}

function addLine(event) {
  const { list, empty } = state.log;
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(eventLine(event));
  empty.textContent = 'Log lines and requests, as they happen.';
  while (list.childElementCount > LINES) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}
