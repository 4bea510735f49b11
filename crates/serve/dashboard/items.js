// Items: what there is, what is like one, who gets one, and a new one.

import { get, path, put, query } from './client.js';
import { command, count, empty, figure, h, moment, panel, replace, say, title, to, trouble } from './dom.js';
import { list } from './lists.js';
import { pages, table } from './table.js';

/** Milliseconds between two looks at whether a new item can be recommended, and how many of them. */
const LOOK = 500;
const LOOKS = 40;

export async function show(root, [id], signal) {
  await (id === undefined ? browse(root, signal) : one(root, id, signal));
}

export const itemColumns = [
  ['Title', (row) => [h('a', { href: to('items', row.item_id), class: 'name' }, row.title), row.hidden && h('span', { class: 'chip' }, 'hidden')]],
  ['Item', (row) => h('span', { class: 'id' }, row.item_id)],
  ['Events in the model', (row) => count(row.n_events), 'right'],
  ['Known from', (row) => row.source],
];

export const loadItems = (q, signal) => async (cursor) => {
  const page = await get(`/v1/browse/items${query({ q, cursor })}`, signal);
  return { rows: page.items, cursor: page.cursor };
};

async function browse(root, signal) {
  const found = h('div', { class: 'found' });
  const box = h('input', { type: 'search', id: 'item-search', placeholder: 'words of a title, or an id', autocomplete: 'off' });
  const look = () => pages(found, loadItems(box.value.trim(), signal), {
    caption: 'Items',
    columns: itemColumns,
    nothing: box.value.trim()
      ? empty('No item is like that. Try fewer words.')
      : empty('There are no items yet. ', h('a', { href: to('add-item') }, 'Add one'), ', or send many:',
        command(`curl -X POST ${location.origin}/v1/items -H 'content-type: application/json' \\\n     -d '{"items":[{"item_id":"i1","fields":{"title":"A first one"}}]}'`)),
  });
  const form = h('form', { class: 'bar', role: 'search', 'aria-label': 'Items', onsubmit: async (event) => {
    event.preventDefault();
    try { await look(); } catch (error) { if (!signal.aborted) replace(found, trouble(error)); }
  } }, h('label', { for: 'item-search' }, 'Find an item'), box, h('button', {}, 'Find'));
  root.append(title('Items', h('a', { href: to('add-item'), class: 'button' }, 'Add an item')), form, found);
  await look();
}

const value = (content) => (typeof content === 'string' ? content : JSON.stringify(content));

function facts(item) {
  const rows = Object.entries(item.fields).map(([name, content]) => [name, value(content)]);
  if (item.categories?.length) rows.push(['categories', value(item.categories)]);
  if (item.comment) rows.push(['comment', item.comment]);
  if (item.timestamp) rows.push(['appeared', moment(item.timestamp)]);
  rows.push(['known from', item.source], ['hidden', item.hidden ? 'yes' : 'no']);
  return h('dl', { class: 'facts' }, rows.map(([name, content]) => [h('dt', {}, name), h('dd', {}, content)]));
}

const titleOf = (item) => item.fields.title ?? item.fields.name
  ?? Object.entries(item.fields).find(([name]) => name.endsWith('title'))?.[1] ?? item.item_id;

async function one(root, id, signal) {
  const like = h('div', {}, h('p', { class: 'small' }, 'Looking…'));
  const reached = h('div', { class: 'audience' });
  const item = await get(path`/v1/items/${id}`, signal);
  root.append(title(value(titleOf(item)), h('span', { class: 'id' }, id)),
    h('div', { class: 'columns' },
      h('div', {}, panel('Fields', facts(item)), panel('Who gets it', reached)),
      panel('Items like it', like)));
  audience(reached, id, signal);
  try {
    const { items } = await get(path`/v1/similar/${id}` + query({ n: 10 }), signal);
    replace(like, items.length ? list(items, { label: 'Items like it' }) : empty('No item is like it yet.'));
  } catch (error) {
    if (!signal.aborted) replace(like, soft(error));
  }
}

/** What the model cannot answer is no failure. */
const soft = (error) => (error.status === 404 || error.status === 409 ? empty(error.message) : trouble(error));

/** Asks who gets an item, when it is wanted: many lists are made for that. */
function audience(root, id, signal) {
  const sample = h('select', { id: 'sample' }, [100, 300, 1000].map((n) => h('option', { value: n, selected: n === 300 }, count(n))));
  const answer = h('div', {});
  const look = async () => {
    replace(answer, h('p', { class: 'small', role: 'status' }, 'Making lists…'));
    try {
      const got = await get(path`/v1/items/${id}/audience` + query({ sample: sample.value }), signal);
      const told = `${count(got.users_looked_at)} of ${count(got.n_users)} users of the model's data were looked at; the item is among the first ${got.within} for ${count(got.reached)} of them.`;
      say(told);
      replace(answer, h('p', {}, told), got.users.length > 0 && table('Users who get it', [
        ['User', (row) => h('a', { href: to('users', row.user_id), class: 'id' }, row.user_id)],
        ['Place', (row) => row.rank, 'right'],
        ['Score', (row) => figure(row.score), 'right'],
      ], got.users).element);
    } catch (error) {
      if (!signal.aborted) replace(answer, soft(error));
    }
  };
  replace(root, h('form', { class: 'bar', onsubmit: (event) => { event.preventDefault(); look(); } },
    h('label', { for: 'sample' }, 'Users to look at'), sample, h('button', { class: 'quiet' }, 'Look')), answer);
  return look;
}

/** Names of the fields that the model reads, or likely ones where there is none. */
async function fieldNames(signal) {
  const { items } = await get('/v1/browse/items?n=1', signal);
  if (!items.length) return ['title', 'description'];
  const { fields } = await get(path`/v1/items/${items[0].item_id}`, signal);
  const names = Object.keys(fields);
  return names.length ? names : ['title', 'description'];
}

/** Waits until a new item can be recommended. */
async function wait(id, signal) {
  for (let n = 0; n < LOOKS && !signal.aborted; n += 1) {
    try {
      await get(path`/v1/similar/${id}` + query({ n: 1 }), signal);
      return true;
    } catch (error) {
      if (error.status !== 404) return false;
    }
    await new Promise((resolve) => { setTimeout(resolve, LOOK); });
  }
  return false;
}

export async function add(root, _, signal) {
  const names = await fieldNames(signal);
  const outcome = h('div', { class: 'outcome' });
  const field = (name, label, more) => h('label', {}, label, h('input', { name, autocomplete: 'off', ...more }));
  const send = async (event) => {
    event.preventDefault();
    const { elements } = form;
    const id = elements.id.value;
    const given = names.map((name, place) => [name, elements[`field-${place}`].value]).filter(([, text]) => text !== '');
    const item = {
      fields: Object.fromEntries(given),
      categories: elements.categories.value.split(',').map((text) => text.trim()).filter(Boolean),
      hidden: elements.hidden.checked,
    };
    replace(outcome, h('p', { class: 'small', role: 'status' }, 'Sending…'));
    try {
      const { status } = await put(path`/v1/items/${id}`, item, signal);
      const meaning = {
        known: 'The model knows this item: its new text counts from the next training on.',
        reading: 'The model reads it now.',
        stored: 'It is kept. No loaded model can read it before the next training.',
      }[status];
      const who = h('div', {});
      replace(outcome, panel('It is there', h('p', {}, h('span', { class: 'chip' }, status), ' ', meaning), h('p', {}, h('a', { href: to('items', id) }, 'See the item')), h('h3', {}, 'Who gets it'), who));
      const look = audience(who, id, signal);
      if (status === 'stored') replace(who, empty('Nobody, before a model reads it.'));
      else if (await wait(id, signal)) await look();
    } catch (error) {
      if (!signal.aborted) replace(outcome, trouble(error));
    }
  };
  const form = h('form', { class: 'stack', onsubmit: send },
    field('id', 'Id', { required: true, maxlength: 512, spellcheck: 'false' }),
    names.map((name, place) => field(`field-${place}`, name)),
    field('categories', 'Categories, separated by commas'),
    h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'hidden' }), 'Hidden: not recommended'),
    h('div', { class: 'buttons' }, h('button', {}, 'Add it')));
  root.append(title('Add an item'), h('div', { class: 'columns' }, panel('The item', form), outcome));
}
