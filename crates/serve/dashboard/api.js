// The API, read from the document that the server makes of its own code, with a form to try each route.

import { exchange, get } from './client.js';
import { duration, h, panel, replace, title, trouble } from './dom.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

function resolve(document_, schema) {
  let at = schema ?? {};
  for (let n = 0; at.$ref && n < 9; n += 1) at = at.$ref.replace('#/', '').split('/').reduce((node, part) => node?.[part], document_) ?? {};
  return at;
}

/** A body to begin with: what is required, or everything where nothing is. */
function example(document_, schema, depth = 0) {
  const at = resolve(document_, schema);
  if (depth > 5) return null;
  const one = at.anyOf?.find((option) => option.type !== 'null') ?? at.oneOf?.[0] ?? at.allOf?.[0];
  if (one) return example(document_, one, depth + 1);
  if (at.const !== undefined) return at.const;
  if (at.enum) return at.enum[0];
  if (at.default !== undefined && at.default !== null && depth > 0 && typeof at.default !== 'object') return at.default;
  const type = Array.isArray(at.type) ? at.type.find((name) => name !== 'null') : at.type;
  if (type === 'object' || at.properties) {
    const names = at.required?.length ? at.required : Object.keys(at.properties ?? {}).filter((name) => depth === 0 || name !== 'additionalProperties');
    const all = names.map((name) => [name, example(document_, at.properties?.[name], depth + 1)]);
    // What may be left out and says nothing is left out.
    const isOptional = depth === 0 && !at.required?.length;
    return Object.fromEntries(all.filter(([, value]) => !isOptional || !['""', '[]', '[""]', '{}', 'null'].includes(JSON.stringify(value))));
  }
  if (type === 'array') return depth > 2 ? [] : [example(document_, at.items, depth + 1)];
  if (type === 'integer') return at.minimum ?? 10;
  if (type === 'number') return 1;
  if (type === 'boolean') return false;
  return '';
}

/** Lists what an object holds. */
function fields(document_, schema) {
  const at = resolve(document_, schema);
  const options = at.anyOf ?? at.oneOf;
  const all = at.properties ? [at] : (options ?? []).map((option) => resolve(document_, option)).filter((option) => option.properties);
  return all.map((object) => h('dl', { class: 'facts' }, Object.entries(object.properties).map(([name, property]) => [
    h('dt', {}, h('code', {}, name), object.required?.includes(name) && h('small', {}, ' required')),
    h('dd', {}, property.description ?? resolve(document_, property).description ?? ''),
  ])));
}

function tryOut(document_, method, address, operation) {
  const outcome = h('div', { 'aria-live': 'polite' });
  const parameters = operation.parameters ?? [];
  const inputs = parameters.map((parameter) => h('label', {}, `${parameter.name} (${parameter.in})`, h('input', { name: `${parameter.in}:${parameter.name}`, required: parameter.in === 'path', autocomplete: 'off', spellcheck: 'false' })));
  const schema = operation.requestBody?.content?.['application/json']?.schema;
  const body = schema && h('textarea', { name: 'body', rows: 8, spellcheck: 'false' }, JSON.stringify(example(document_, schema), null, 2));
  const send = async (event) => {
    event.preventDefault();
    const { elements } = form;
    let target = address;
    const search = new URLSearchParams();
    for (const parameter of parameters) {
      const { value } = elements[`${parameter.in}:${parameter.name}`];
      if (parameter.in === 'path') target = target.replace(`{${parameter.name}}`, encodeURIComponent(value));
      else if (value) search.set(parameter.name, value);
    }
    if (search.size) target += `?${search}`;
    try {
      const got = await exchange(method.toUpperCase(), target, { body: body ? JSON.parse(elements.body.value) : undefined });
      const text = typeof got.data === 'string' ? got.data : JSON.stringify(got.data, null, 2);
      replace(outcome,
        h('p', { class: 'small' }, h('span', { class: `chip ${got.response.ok ? 'serving' : 'failed'}` }, got.response.status), ` ${duration(got.ms)}, request `, h('code', {}, got.requestId ?? '')),
        h('pre', { class: 'json', tabindex: '0' }, text.slice(0, 20_000), text.length > 20_000 && '\n… more was sent than is shown'));
    } catch (error) {
      replace(outcome, trouble(error instanceof SyntaxError ? Object.assign(new Error(error.message), { title: 'The body is no JSON' }) : error));
    }
  };
  const form = h('form', { class: 'stack', onsubmit: send }, inputs, body && h('label', {}, 'Body', body),
    h('div', { class: 'buttons' }, h('button', {}, method === 'get' ? 'Send' : `Send: this may change something`)));
  return [form, outcome];
}

function route(document_, method, address, operation) {
  const schema = operation.requestBody?.content?.['application/json']?.schema;
  const details = h('details', { class: 'route', ontoggle: () => {
    // Made when it is opened: there are many.
    if (!details.open || details.dataset.made) return;
    details.dataset.made = 'yes';
    details.append(h('div', { class: 'columns' },
      h('div', {}, h('p', {}, operation['x-scope'] ? ['Needs a key with the scope ', h('code', {}, operation['x-scope']), '.'] : 'Needs no key.'), schema && fields(document_, schema)),
      h('div', {}, tryOut(document_, method, address, operation))));
  } }, h('summary', {}, h('code', { class: `method ${method}` }, method.toUpperCase()), ' ', h('code', {}, address), ' ', h('span', { class: 'small' }, operation.summary)));
  return details;
}

export async function show(root, _, signal) {
  const content = h('div', {});
  const box = h('input', { type: 'search', id: 'route-search', placeholder: 'part of a path', autocomplete: 'off', oninput: () => draw() });
  root.append(title('API', h('a', { href: '/openapi.json', class: 'button quiet' }, 'openapi.json')),
    h('form', { class: 'bar', role: 'search', onsubmit: (event) => event.preventDefault() }, h('label', { for: 'route-search' }, 'Find a route'), box), content);
  const document_ = await get('/openapi.json', signal);
  const all = Object.entries(document_.paths).flatMap(([address, methods]) => METHODS.filter((method) => methods[method]).map((method) => [method, address, methods[method]]));
  const groups = [
    ['Tastemaker', (address) => address.startsWith('/v1/')],
    ['As Gorse has them', (address) => address.startsWith('/api/') && !address.startsWith('/api/health')],
    ['To watch it', () => true],
  ];
  function draw() {
    const wanted = box.value.trim().toLowerCase();
    let left = all.filter(([, address, operation]) => `${address} ${operation.summary}`.toLowerCase().includes(wanted));
    replace(content, groups.map(([name, belongs]) => {
      const own = left.filter(([, address]) => belongs(address));
      left = left.filter((one) => !own.includes(one));
      return own.length > 0 && panel(name, own.map((one) => route(document_, ...one)));
    }));
  }
  draw();
}
