// Forms: one for the configuration, one for an action's arguments made from their JSON Schema.

import { freshId, h, pretty } from './dom.js';

/** One labelled input with its description and a place for what is wrong with it. */
function field(label, required, hint, input) {
  const id = freshId('field');
  input.id = id;
  const wrong = h('p', { class: 'wrong', id: `${id}-wrong`, hidden: true });
  const described = [`${id}-wrong`];
  if (hint) described.push(`${id}-hint`);
  input.setAttribute('aria-describedby', described.join(' '));
  if (required) input.setAttribute('aria-required', 'true');
  const mark = required && h('span', { class: 'must', title: 'required' }, ' *');
  return {
    input,
    element: h('div', { class: 'field' },
      h('label', { for: id }, label, mark),
      hint && h('p', { class: 'hint', id: `${id}-hint` }, hint), input, wrong),
    complain(text) {
      wrong.textContent = text ?? '';
      wrong.hidden = !text;
      input.setAttribute('aria-invalid', text ? 'true' : 'false');
    },
  };
}

const choice = (options, value) =>
  h('select', {}, options.map(([key, text]) => h('option', { value: key, selected: key === value }, text)));

// ---- configuration ----

/** The configuration form. `save` gets the values that changed. */
export function configuration(connector, save, connect) {
  const fields = connector.fields.map((declared) => configField(declared));
  const status = h('p', { role: 'status', class: 'small' });
  const button = h('button', { class: 'main' }, 'Save');
  const form = h('form', { class: 'card stack', novalidate: true },
    connector.description && h('p', { class: 'doc soft' }, connector.description),
    fields.length === 0 ? h('p', { class: 'soft' }, 'This connector has nothing to configure.') : null,
    fields.map((one) => one.element),
    h('div', { class: 'row' }, fields.length > 0 && button,
      connector.oauth && h('button', { type: 'button', onclick: () => connect(status) }, 'Sign in (OAuth)'), status));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    status.textContent = '';
    fields.forEach((one) => one.complain());
    const changed = Object.fromEntries(fields.filter((one) => one.changed()).map((one) => [one.key, one.value()]));
    if (Object.keys(changed).length === 0) {
      status.textContent = 'Nothing has changed.';
      return;
    }
    try {
      await save(changed);
    } catch (error) {
      const wrong = fields.find((one) => one.key === error.answer?.field);
      wrong?.complain(error.message);
      (wrong?.input ?? button).focus();
      status.textContent = wrong ? 'Not saved.' : error.message;
    }
  });
  return form;
}

function configField(declared) {
  const { plain, set } = declared;
  const sealed = !plain || declared.type === 'managed';
  const before = set && !sealed ? String(declared.value) : '';
  const input = configInput(declared, sealed, before);
  const made = field(declared.name, !declared.optional, declared.description, input);
  let removed = false;
  const note = declared.enterAgain
    ? h('span', { class: 'tag warn' }, 'enter again: the connector has a new key')
    : h('span', { class: `tag ${set ? 'good' : ''}` }, set ? 'set' : 'not set here');
  const remove = set && h('button', { type: 'button', class: 'link', 'aria-label': `Remove ${declared.name}` }, 'Remove');
  if (remove) {
    remove.addEventListener('click', () => {
      removed = !removed;
      input.disabled = removed;
      note.textContent = removed ? 'removed when you save' : 'set';
      remove.textContent = removed ? 'Keep' : 'Remove';
    });
  }
  made.element.querySelector('label').after(h('div', { class: 'row' },
    h('code', { class: 'soft' }, declared.key), note, sealed && h('span', { class: 'tag' }, 'sealed'), remove));
  return {
    ...made,
    key: declared.key,
    changed: () => removed || input.value !== before,
    value: () => (removed || input.value === '' ? null : typed(declared.type, input.value)),
  };
}

function configInput({ type, placeholder, height, set }, sealed, before) {
  const shown = sealed && set ? 'set; enter a new value to replace it' : placeholder;
  const common = { placeholder: shown, autocomplete: 'off', spellcheck: 'false', value: before };
  if (type === 'boolean') return choice([['', sealed && set ? 'as it is' : 'not set'], ['true', 'yes'], ['false', 'no']], before);
  if (type === 'multiline') return h('textarea', { ...common, rows: Math.min(height ?? 4, 20) });
  if (sealed) return h('input', { ...common, type: 'password', autocomplete: 'new-password' });
  return h('input', { ...common, type: 'text', inputmode: type === 'number' ? 'decimal' : null });
}

/** A number that is none stays text, so that the workspace says what is wrong. */
function typed(type, text) {
  if (type === 'boolean') return text === 'true';
  if (type === 'number' && text.trim() !== '' && Number.isFinite(Number(text))) return Number(text);
  return text;
}

// ---- arguments ----

/** The form of an action's arguments. `json()` gives their JSON text, or throws after it complained. */
export function argumentsForm(schema) {
  const root = schema ?? {};
  const fields = Object.entries(root.properties ?? {}).map(([key, property]) =>
    argument(key, resolve(property, root), (root.required ?? []).includes(key)));
  const raw = field('Arguments as JSON', false, null, h('textarea', { rows: 8, spellcheck: 'false', value: '{}' }));
  const form = h('div', { class: 'stack' }, fields.map((one) => one.element),
    fields.length === 0 && h('p', { class: 'soft' }, 'This action takes no arguments.'));
  const knowsFields = schema !== undefined && schema !== null;
  let isRaw = !knowsFields;
  raw.element.hidden = !isRaw;
  form.hidden = isRaw;

  const toggle = knowsFields && h('button', { type: 'button', class: 'link', 'aria-pressed': 'false' }, 'Edit as JSON');
  if (toggle) {
    toggle.addEventListener('click', () => {
      try {
        if (!isRaw) raw.input.value = pretty(collect(fields));
        else if (!spread(fields, raw)) return;
      } catch { return; }
      isRaw = !isRaw;
      raw.element.hidden = !isRaw;
      form.hidden = isRaw;
      toggle.textContent = isRaw ? 'Edit as a form' : 'Edit as JSON';
      toggle.setAttribute('aria-pressed', String(isRaw));
    });
  }
  return {
    element: h('div', { class: 'stack' }, form, raw.element),
    toggle,
    json() {
      if (!isRaw) return JSON.stringify(collect(fields));
      object(raw);
      // To the letter: a number that JavaScript cannot hold goes through.
      return raw.input.value;
    },
  };
}

function collect(fields) {
  const values = {};
  for (const one of fields) {
    const value = one.read();
    if (value !== undefined) values[one.key] = value;
  }
  return values;
}

/** Puts raw JSON back into the form. False where that would lose something. */
function spread(fields, raw) {
  const values = object(raw);
  const stranger = Object.keys(values).find((key) => !fields.some((one) => one.key === key));
  raw.complain(stranger && `the form has no field for ${stranger}`);
  if (stranger) return false;
  fields.forEach((one) => one.write(values[one.key]));
  return true;
}

function object(raw) {
  raw.complain();
  try {
    const value = JSON.parse(raw.input.value.trim() || '{}');
    if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error('the arguments must be an object');
    if (!raw.input.value.trim()) raw.input.value = '{}';
    return value;
  } catch (error) {
    raw.complain(error.message);
    raw.input.focus();
    throw error;
  }
}

function argument(key, schema, required) {
  const kind = kindOf(schema);
  const made = field(key, required, schema.description, argumentInput(kind, schema, required));
  const { input } = made;
  const parse = () => {
    const text = input.value;
    if (text === '' && !(required && kind === 'string')) {
      if (!required) return undefined;
      throw new Error('this is required');
    }
    if (kind === 'string') return text;
    if (kind === 'enum') return schema.enum[Number(text)];
    if (kind === 'boolean') return text === 'true';
    if (kind !== 'number') return JSON.parse(text);
    if (!Number.isFinite(Number(text))) throw new Error('this must be a number');
    return Number(text);
  };
  return {
    ...made,
    key,
    read() {
      made.complain();
      try {
        return parse();
      } catch (error) {
        made.complain(error.message);
        input.focus();
        throw error;
      }
    },
    write(value) {
      if (value === undefined) input.value = '';
      else if (kind === 'string' && typeof value === 'string') input.value = value;
      else if (kind === 'enum') input.value = String(schema.enum.indexOf(value));
      else input.value = kind === 'json' ? pretty(value) : String(value);
    },
  };
}

function argumentInput(kind, schema, required) {
  const { default: standard } = schema;
  const example = standard !== undefined ? `default: ${JSON.stringify(standard)}` : schema.examples?.[0];
  const placeholder = example === undefined ? null : typeof example === 'string' ? example : JSON.stringify(example);
  const none = [['', required ? 'choose…' : standard === undefined ? 'not given' : `default (${JSON.stringify(standard)})`]];
  if (kind === 'enum') return choice([...none, ...schema.enum.map((value, index) => [String(index), String(value)])], '');
  if (kind === 'boolean') return choice([...none, ['true', 'true'], ['false', 'false']], '');
  if (kind === 'number') return h('input', { type: 'text', inputmode: 'decimal', placeholder, autocomplete: 'off' });
  if (kind === 'string') return h('input', { type: 'text', placeholder, autocomplete: 'off', spellcheck: 'false' });
  return h('textarea', { rows: 4, spellcheck: 'false', placeholder: placeholder ?? (schema.type === 'array' ? 'JSON: […]' : 'JSON: {…}') });
}

function kindOf({ enum: values, type }) {
  if (Array.isArray(values)) return 'enum';
  if (type === 'integer' || type === 'number') return 'number';
  return type === 'string' || type === 'boolean' ? type : 'json';
}

/** Follows references and takes the "or null" off, which optional arguments have. */
function resolve(schema, root, depth = 0) {
  if (schema === null || typeof schema !== 'object' || depth > 8) return {};
  if (typeof schema.$ref === 'string' && schema.$ref.startsWith('#/')) {
    const target = schema.$ref.slice(2).split('/').reduce((at, step) => at?.[step.replaceAll('~1', '/').replaceAll('~0', '~')], root);
    const { $ref, ...own } = schema;
    return { ...resolve(target ?? {}, root, depth + 1), ...own };
  }
  const { anyOf, oneOf, ...own } = schema;
  const real = (anyOf ?? oneOf)?.filter((one) => one.type !== 'null');
  if (real?.length === 1) return { ...resolve(real[0], root, depth + 1), ...own };
  if (real?.length > 1 && real.every((one) => one.const !== undefined)) return { ...own, enum: real.map((one) => one.const) };
  const type = Array.isArray(schema.type) ? schema.type.filter((one) => one !== 'null') : schema.type;
  const values = schema.enum?.filter((value) => value !== null);
  return { ...schema, type: Array.isArray(type) && type.length === 1 ? type[0] : type, ...(values && { enum: values }) };
}
