// Users: who there is, what one did, and what two models make of it.

import { get, path, post, query } from './client.js';
import { command, count, empty, figure, h, moment, panel, replace, title, to, trouble } from './dom.js';
import { list } from './lists.js';
import { pages } from './table.js';

export async function show(root, [id], signal) {
  await (id === undefined ? browse(root, signal) : one(root, id, signal));
}

export const userColumns = [
  ['User', (row) => h('a', { href: to('users', row.user_id), class: 'id' }, row.user_id)],
  ['Events in the model', (row) => count(row.n_events), 'right'],
  ['Known from', (row) => row.source],
];

export const loadUsers = (q, signal) => async (cursor) => {
  const page = await get(`/v1/browse/users${query({ q, cursor })}`, signal);
  return { rows: page.users, cursor: page.cursor };
};

async function browse(root, signal) {
  const found = h('div', { class: 'found' });
  const box = h('input', { type: 'search', id: 'user-search', placeholder: 'part of an id', autocomplete: 'off' });
  const look = () => pages(found, loadUsers(box.value.trim(), signal), {
    caption: 'Users',
    columns: userColumns,
    nothing: box.value.trim()
      ? empty('Nobody has an id like that. One nobody knows gets a list too: ', h('a', { href: to('users', box.value.trim()) }, 'see it'), '.')
      : empty('Nobody is known yet. Tell the server what somebody did:',
        command(`curl -X POST ${location.origin}/v1/events -H 'content-type: application/json' \\\n     -d '{"user_id":"u1","item_id":"i1"}'`)),
  });
  const form = h('form', { class: 'bar', role: 'search', 'aria-label': 'Users', onsubmit: async (event) => {
    event.preventDefault();
    try { await look(); } catch (error) { if (!signal.aborted) replace(found, trouble(error)); }
  } }, h('label', { for: 'user-search' }, 'Find a user'), box, h('button', {}, 'Find'));
  root.append(title('Users'), form, found);
  await look();
}

/** What somebody did. */
function history(events) {
  const hasValues = events.some((event) => event.value !== 1);
  return h('ol', { class: 'history', 'aria-label': 'History, newest first' }, events.map((event) => h('li', {},
    h('a', { href: to('items', event.item_id), class: 'name' }, event.title),
    h('div', { class: 'numbers' },
      event.source === 'store' && h('span', { class: 'chip' }, event.event_type || 'event'),
      hasValues && h('span', {}, figure(event.value).replace(/\.?0+$/, '')),
      event.timestamp && moment(event.timestamp)))));
}

async function one(root, id, signal) {
  const did = h('div', {}, h('p', { class: 'small' }, 'Looking…'));
  const lists = h('div', { class: 'compare' });
  const filter = h('input', { id: 'user-filter', placeholder: 'such as year >= 1990', autocomplete: 'off', spellcheck: 'false' });
  const form = h('form', { class: 'bar', onsubmit: (event) => { event.preventDefault(); compare(); } },
    h('label', { for: 'user-filter' }, 'Only items with'), filter, h('button', { class: 'quiet' }, 'Apply'));
  root.append(title(['User ', h('span', { class: 'id' }, id)]),
    h('div', { class: 'columns narrow-first' }, panel('History', did), h('section', { class: 'panel' }, h('h2', {}, 'Lists'), form, lists)));

  const models = get('/v1/models', signal);
  const ask = (model) => post('/v1/recommend', { user_id: id, n: 10, explain: true, model, filter: filter.value.trim() || undefined }, signal);
  async function compare() {
    const { data } = await models;
    const roles = ['serving', 'previous'].map((role) => data.find((model) => model.role === role)).filter(Boolean);
    if (!roles.length) {
      const answer = await post('/v1/recommend', { user_id: id, n: 10, model: 'serving' }, signal);
      replace(lists, side('What is popular', answer.items.length ? list(answer.items) : empty('There is nothing to list yet: tell the server of items and events.')));
      return;
    }
    const answers = await Promise.all(roles.map((model) => ask(model.role).then((answer) => ({ answer }), (error) => ({ error }))));
    if (signal.aborted) return;
    const sides = roles.map((model, place) => {
      const { answer, error } = answers[place];
      const other = place > 0 ? answers[0].answer?.items : undefined;
      const heading = [h('span', { class: `chip ${model.role}` }, model.role), ' ', h('span', { class: 'id' }, model.id)];
      if (error) return side(heading, trouble(error));
      return side(heading, answer.items.length ? list(answer.items, { label: `List of ${model.role}`, other }) : empty('No item is left: ask for fewer conditions.'));
    });
    if (roles.length < 2) {
      sides.push(side('Another model', empty('A second list stands here once another model was promoted: see ', h('a', { href: to('models') }, 'Models'), '.')));
    }
    replace(lists, sides);
  }
  const past = get(path`/v1/users/${id}/history` + query({ n: 100 }), signal).then(
    (answer) => replace(did, h('p', { class: 'small' }, `${count(answer.n_events)} events`, answer.n_events > answer.events.length && `, the newest ${answer.events.length}`), history(answer.events)),
    (error) => {
      if (error.status === 404) replace(did, empty('Nobody knows this user yet: the list is for everybody, and their own begins with their first event.'));
      else if (!signal.aborted) replace(did, trouble(error));
    });
  await Promise.all([compare(), past]);
}

const side = (heading, ...content) => h('section', { class: 'side-list' }, h('h3', {}, heading), ...content);
