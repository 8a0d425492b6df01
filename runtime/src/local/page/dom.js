// Makes elements. Whatever comes from a connector gets in as text, never as markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let made = 0;
export const freshId = (name) => `${name}-${++made}`;

export const pretty = (value) => JSON.stringify(value, null, 2);

export const clock = (millis) => {
  const at = new Date(millis);
  return `${at.toLocaleTimeString('en-GB')}.${String(at.getMilliseconds()).padStart(3, '0')}`;
};

export const day = (millis) => new Date(millis).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

export const took = (millis) =>
  millis < 1000 ? `${Number(millis.toPrecision(3))} ms` : `${(millis / 1000).toFixed(2)} s`;

export const bytes = (count) =>
  count < 1024 ? `${count} B` : count < 1048576 ? `${(count / 1024).toFixed(1)} KB` : `${(count / 1048576).toFixed(1)} MB`;

/** Tells people who do not see the page. */
export function announce(text) {
  document.getElementById('news').textContent = text;
}

/** The flag in a refusal that would allow what was refused, easy to copy. Only for texts of the
 *  runtime: a connector must not be able to talk somebody into granting something. */
export function flagOf(text) {
  const flag = /--allow(?:-private)? [^\s`'"]*[^\s`'".,;:)]/.exec(text ?? '')?.[0];
  if (!flag) return null;
  const copy = h('button', { type: 'button', class: 'low', 'aria-label': `Copy ${flag}` }, 'Copy');
  copy.addEventListener('click', async () => {
    await navigator.clipboard.writeText(flag);
    copy.textContent = 'Copied';
    announce(`Copied ${flag}`);
    setTimeout(() => (copy.textContent = 'Copy'), 2000);
  });
  return h('span', { class: 'flag' }, 'Allow it with', h('code', {}, flag), copy);
}

/** Asks the API. Throws what it refuses, with the answer's fields. */
export async function api(path, method = 'GET', body) {
  const options = { method };
  if (body !== undefined) options.body = typeof body === 'string' ? body : JSON.stringify(body);
  let response;
  try {
    response = await fetch(`/api/${path}`, options);
  } catch {
    throw Object.assign(new Error('the workspace does not answer; is it still running?'), { answer: {} });
  }
  const answer = await response.json().catch(() => ({ error: `status ${response.status}` }));
  if (!response.ok) throw Object.assign(new Error(answer.error), { answer, status: response.status });
  return answer;
}
