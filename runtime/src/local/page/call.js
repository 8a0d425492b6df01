// Calls an action and shows what came of it: the answer, the requests it made, what it logged.

import { announce, api, bytes, clock, day, flagOf, h, pretty, took } from './dom.js';
import { argumentsForm } from './form.js';

/** The actions: a list to choose from, and beside it the chosen one. */
export function actions(connector, chosen, choose) {
  if (connector.actions.length === 0) {
    const text = connector.connected ? 'This connector has no actions.' : 'The actions show once the connector has connected.';
    return h('div', { class: 'card soft' }, text);
  }
  const action = connector.actions.find(({ name }) => name === chosen) ?? connector.actions[0];
  const list = connector.actions.map(({ name }) => h('li', {},
    h('button', { type: 'button', 'aria-current': name === action.name ? 'true' : null, onclick: () => choose(name) }, name)));
  const select = h('select', { 'aria-label': 'Action', onchange: (event) => choose(event.target.value) },
    connector.actions.map(({ name }) => h('option', { value: name, selected: name === action.name }, name)));
  return h('div', { class: 'card actions' }, h('ul', { 'aria-label': 'Actions' }, list), select, one(connector, action));
}

function one(connector, action) {
  const form = argumentsForm(action.arguments);
  const answer = h('section', { 'aria-label': 'Answer', class: 'stack' });
  const button = h('button', { class: 'main' }, 'Call');
  const element = h('form', { class: 'stack', novalidate: true },
    h('div', { class: 'stack tight' },
      h('div', { class: 'row' }, h('h3', { class: 'mono' }, action.name), hints(action.hints)),
      action.description && h('p', { class: 'doc soft' }, action.description),
      action.signature && h('details', { class: 'small' }, h('summary', {}, 'Declaration'), h('pre', {}, action.signature))),
    form.element,
    h('div', { class: 'row' }, button, form.toggle, action.result && h('details', { class: 'small soft' },
      h('summary', {}, 'What it answers'), h('pre', {}, pretty(action.result)))),
    answer);
  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    let json;
    try { json = form.json(); } catch { return; }
    button.disabled = true;
    button.textContent = 'Calling…';
    await call(connector, action.name, json, answer);
    button.disabled = false;
    button.textContent = 'Call';
  });
  return element;
}

const hints = (said = {}) => [
  said.readOnly && h('span', { class: 'tag' }, 'reads only'),
  said.destructive && h('span', { class: 'tag warn' }, 'destructive'),
  said.idempotent && h('span', { class: 'tag' }, 'idempotent'),
];

async function call(connector, action, json, place) {
  const path = `connectors/${encodeURIComponent(connector.id)}/call`;
  let shown;
  try {
    const answer = await api(path, 'POST', `{"action":${JSON.stringify(action)},"arguments":${json}}`);
    shown = { call: answer.call, state: 'ok', tookMs: answer.tookMs, result: answer.result };
  } catch (error) {
    shown = { ...error.answer, state: 'error', error: error.message };
  }
  announce(`${action}: ${shown.state === 'ok' ? 'answered' : 'failed'}`);
  place.replaceChildren(...outcome(shown, await eventsOf(connector.id, shown.call)));
}

/** The end of a call: its answer, what was refused on the way, and what else happened. */
function outcome({ state, tookMs, error, result }, events) {
  const refusals = new Map(events.filter(({ kind }) => kind === 'request').map(refusalOf).filter(Boolean).map((text) => [text, flagOf(text)]));
  const tag = { ok: ['good', 'answered'], error: ['bad', 'failed'], running: ['', 'running'] }[state];
  return [
    h('div', { class: 'row' }, h('span', { class: `tag ${tag[0]}` }, tag[1]),
      tookMs !== undefined && h('span', { class: 'soft small' }, took(tookMs))),
    error !== undefined && h('div', { class: 'box bad' }, error),
    ...[...refusals].map(([text, flag]) => flag && h('div', { class: 'box warn' }, text === error ? null : h('p', {}, text), flag)),
    result !== undefined && h('pre', { tabindex: '0', 'aria-label': 'Result' }, pretty(result)),
    traces(events),
  ].filter(Boolean);
}

/** The requests and log lines of a call. */
async function eventsOf(connector, id) {
  if (!id) return [];
  const { events } = await api(`connectors/${encodeURIComponent(connector)}/events?call=${encodeURIComponent(id)}`)
    .catch(() => ({ events: [] }));
  return events;
}

function traces(events) {
  if (events.length === 0) return h('p', { class: 'soft small' }, 'It made no requests and logged nothing that this workspace saw.');
  const requests = events.filter(({ kind }) => kind === 'request').length;
  const title = `${requests} ${requests === 1 ? 'request' : 'requests'}, ${events.length - requests} log ${events.length - requests === 1 ? 'line' : 'lines'}`;
  return h('div', { class: 'stack tight' }, h('h4', {}, title), h('ol', { class: 'events' }, events.map(eventLine)));
}

/** One log line or request. */
export function eventLine(event) {
  if (event.kind === 'log') {
    return line(event.at, event.level, event.level === 'error' ? 'error' : event.level === 'warn' ? 'warn' : '', event.message);
  }
  if (event.kind === 'lost') return line(event.at, 'lost', 'warn', `${event.count} events came too fast to be shown`);
  return requestLine(event);
}

function requestLine(event) {
  const failed = event.error !== null || event.status >= 400;
  const doubtful = event.decision?.reported !== undefined;
  const facts = [event.status ?? 'no answer', took(event.tookMs), `${bytes(event.bytesOut)} out, ${bytes(event.bytesIn)} in`,
    event.sent > 1 && `${event.sent} attempts`, event.credential && `credential ${event.credential}`].filter(Boolean).join(' · ');
  const made = line(event.at, event.method, failed ? 'error' : doubtful ? 'warn' : '',
    `${event.url}\n${facts}${event.error ? `\n${event.error}` : ''}`);
  const story = storyOf(event);
  if (story.length > 0) made.lastChild.append(h('details', {}, h('summary', {}, 'How it went'), h('ul', {}, story.map((fact) => h('li', {}, fact)))));
  const flag = flagOf(refusalOf(event));
  if (flag) made.lastChild.append(flag);
  return made;
}

/** What was refused, or would be if the policy did more than report. */
const refusalOf = ({ error, decision }) => error ?? decision?.reported;

/** What was decided and tried, a line each. */
function storyOf({ decision, tokenMs, queuedMs, attempts, sent, hops, bytesDecoded }) {
  return [
    decision?.granted && `granted by ${decision.granted}`,
    decision?.reported && `would be refused: ${decision.reported}`,
    tokenMs >= 1 && `waited ${took(tokenMs)} for a token`,
    queuedMs >= 1 && `waited ${took(queuedMs)} for a place`,
    ...attempts.map(attemptOf),
    sent > attempts.length && `and ${sent - attempts.length} more attempts`,
    ...hops.map((url) => `redirected to ${url}`),
    bytesDecoded !== null && `${bytes(bytesDecoded)} after decompression`,
  ].filter(Boolean);
}

function attemptOf({ startedMs, tookMs, status, error, connection, bytesOut, bytesIn, pause }, index) {
  const by = connection && `${connection.proxied ? 'proxy ' : ''}${connection.address}, ${connection.reused ? 'same' : 'new'} connection`;
  return [`attempt ${index + 1} at +${took(startedMs)}: ${status ?? error} after ${took(tookMs)}`, by,
    `${bytes(bytesOut)} out, ${bytes(bytesIn)} in`, pause && `after a pause of ${took(pause.ms)} (${pause.why})`].filter(Boolean).join(' · ');
}

const line = (at, what, kind, text) => h('li', { class: kind },
  h('span', { class: 'when' }, clock(at)), h('span', { class: 'what' }, what), h('span', { class: 'text' }, text));

/** The recent calls; one opens to show all that is known of it. */
export async function calls(connector) {
  const { calls: latest } = await api(`connectors/${encodeURIComponent(connector.id)}/calls`);
  if (latest.length === 0) return h('div', { class: 'card soft' }, 'Nothing was called yet.');
  return h('div', { class: 'card' }, h('ul', { class: 'calls' }, latest.slice(0, 100).map((call) => callLine(connector, call))));
}

function callLine(connector, call) {
  const kind = { ok: 'good', error: 'bad', running: '' }[call.state];
  const detail = h('div', { class: 'stack', hidden: true });
  const button = h('button', { type: 'button', 'aria-expanded': 'false' }, h('strong', { class: 'mono' }, call.action),
    h('span', { class: 'soft small when' }, day(call.at)),
    h('span', { class: `tag ${kind}` }, call.state === 'running' ? 'running' : took(call.tookMs)));
  button.addEventListener('click', async () => {
    detail.hidden = !detail.hidden;
    button.setAttribute('aria-expanded', String(!detail.hidden));
    if (detail.hidden || detail.childElementCount > 0) return;
    detail.append(
      call.arguments === undefined
        ? h('p', { class: 'soft small' }, 'What was said is kept in memory only, and not for ever.')
        : h('div', { class: 'stack tight' }, h('h4', {}, 'Arguments'), h('pre', { tabindex: '0' }, pretty(call.arguments))),
      ...outcome(call, await eventsOf(connector.id, call.call)));
  });
  return h('li', {}, button, detail);
}
