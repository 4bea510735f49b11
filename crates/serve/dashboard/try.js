// A question put together by hand: for a user, a session or words; with a filter, a context and exclusions.

import { exchange, get, Problem, query } from './client.js';
import { duration, empty, h, panel, replace, say, title, trouble } from './dom.js';
import { list } from './lists.js';

const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);

/** Reads `key=value` lines. */
const pairs = (text) => Object.fromEntries(lines(text).map((line) => {
  const at = line.indexOf('=');
  return at < 0 ? [line, ''] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
}));

function request(elements) {
  const way = elements.way.value;
  const given = (text) => text.trim() || undefined;
  const body = { n: Number(elements.n.value) || undefined };
  if (way === 'user') body.user_id = given(elements.user.value);
  if (way === 'session') body.history = lines(elements.history.value);
  if (way === 'words') body.words = given(elements.words.value);
  const exclude = lines(elements.exclude.value);
  if (exclude.length) body.exclude = exclude;
  if (way !== 'words') {
    body.filter = given(elements.filter.value);
    const context = pairs(elements.context.value);
    if (Object.keys(context).length) body.context = context;
    body.explain = elements.explain.checked || undefined;
  }
  // Without a model the answer would be that of an experiment, and count for it.
  if (way === 'user' || elements.model.value !== 'serving') body.model = elements.model.value;
  return body;
}

/** A small search that adds ids to the session. */
function finder(area, signal) {
  const found = h('ul', { class: 'found-items' });
  const box = h('input', { type: 'search', id: 'session-search', placeholder: 'words of a title', autocomplete: 'off', onkeydown: (event) => {
    if (event.key === 'Enter') { event.preventDefault(); look(); }
  } });
  const take = (item) => { area.value = [...lines(area.value), item.item_id].join('\n'); say(`${item.title} was added`); };
  async function look() {
    try {
      const { items } = await get(`/v1/browse/items${query({ q: box.value.trim(), n: 6 })}`, signal);
      replace(found, items.map((item) => h('li', {}, h('button', { type: 'button', class: 'quiet', onclick: () => take(item) }, '+ ', item.title))));
      if (!items.length) replace(found, h('li', { class: 'small' }, 'No item is like that.'));
    } catch (error) {
      if (!signal.aborted) replace(found, h('li', {}, trouble(error)));
    }
  }
  return h('div', { class: 'finder' }, h('label', { for: 'session-search' }, 'Find items for it'),
    h('div', { class: 'bar' }, box, h('button', { type: 'button', class: 'quiet', onclick: look }, 'Find')), found);
}

/** The same question for a shell. */
function shell(body) {
  const text = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -X POST ${location.origin}/v1/recommend -H 'content-type: application/json' \\\n     -d '${text}'`;
}

export async function show(root, _, signal) {
  const area = h('textarea', { name: 'history', rows: 4, spellcheck: 'false' });
  const way = (name, label) => h('label', { class: 'check' }, h('input', { type: 'radio', name: 'way', value: name, checked: name === 'user' }), label);
  const only = { user: h('label', {}, 'User', h('input', { name: 'user', autocomplete: 'off', spellcheck: 'false' })),
    session: h('div', {}, h('label', {}, 'Items taken in this session, oldest first, one a line', area), finder(area, signal)),
    words: h('label', {}, 'A taste in words', h('textarea', { name: 'words', rows: 3, maxlength: 8192 })) };
  const notWords = h('div', { class: 'stack' },
    h('label', {}, 'Filter', h('input', { name: 'filter', placeholder: 'such as year >= 1990 && "Drama" in genres', autocomplete: 'off', spellcheck: 'false' })),
    h('label', {}, 'Context, one key=value a line', h('textarea', { name: 'context', rows: 2, placeholder: 'device=phone', spellcheck: 'false' })),
    h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'explain', checked: true }), 'With reasons'));
  const outcome = h('div', { class: 'outcome', 'aria-live': 'off' }, panel('Answer', empty('Put a question together and ask it: nothing is learnt from it, though the list is kept so that it can be explained.')));
  const switchTo = () => {
    for (const [name, element] of Object.entries(only)) element.hidden = form.elements.way.value !== name;
    notWords.hidden = form.elements.way.value === 'words';
  };
  const send = async (event) => {
    event.preventDefault();
    const body = request(form.elements);
    try {
      const got = await exchange('POST', '/v1/recommend', { body, signal });
      if (!got.response.ok) throw new Problem(got.response.status, got.data, got.requestId);
      const { items, source, model, recommendation_id: id } = got.data;
      say(`${items.length} items`);
      replace(outcome, panel('Answer',
        h('p', { class: 'small' }, `${items.length} items by ${source}`, model && [' of ', h('span', { class: 'id' }, model)], ` in ${duration(got.ms)}, request `, h('code', {}, got.requestId)),
        items.length ? list(items) : empty('No item is left: ask for fewer conditions.'),
        h('details', {}, h('summary', {}, 'The same for a shell'), h('pre', { class: 'command', tabindex: '0' }, shell(body))),
        id && h('p', { class: 'small' }, 'Kept as ', h('code', {}, id))));
    } catch (error) {
      if (!signal.aborted) replace(outcome, trouble(error));
    }
  };
  const form = h('form', { class: 'stack', onsubmit: send, onchange: () => switchTo() },
    h('fieldset', {}, h('legend', {}, 'For'), way('user', 'a user'), way('session', 'a session'), way('words', 'words')),
    Object.values(only), notWords,
    h('label', {}, 'Leave out, one item a line', h('textarea', { name: 'exclude', rows: 2, spellcheck: 'false' })),
    h('div', { class: 'bar ends' },
      h('label', {}, 'How many', h('input', { name: 'n', type: 'number', min: 1, max: 1000, value: '10' })),
      h('label', {}, 'Model', h('select', { name: 'model' }, h('option', { value: 'serving' }, 'serving'), h('option', { value: 'previous' }, 'previous')))),
    h('div', { class: 'buttons' }, h('button', {}, 'Ask')));
  root.append(title('Try'), h('div', { class: 'columns' }, panel('Question', form), outcome));
  switchTo();
}
