// Lists of items with reasons, as the server recommends them.

import { figure, h, to } from './dom.js';

/** What a reason rests on, in words. */
function evidence(reason) {
  const clauses = reason?.evidence ?? [];
  if (!Array.isArray(clauses) || !clauses.length) return null;
  return h('details', {}, h('summary', {}, `Evidence (${clauses.length})`), h('pre', { class: 'json' }, JSON.stringify(clauses, null, 1)));
}

const sentence = (reason) => reason?.text ?? '';

/** How a place differs from the one in another list. */
function moved(item, other) {
  if (!other) return null;
  const there = other.find((one) => one.item_id === item.item_id);
  if (!there) return h('span', { class: 'move new', title: 'not in the other list' }, 'new');
  const by = there.rank - item.rank;
  if (by === 0) return h('span', { class: 'move', title: 'at the same place' }, '=');
  return h('span', { class: `move ${by > 0 ? 'up' : 'down'}`, title: `${there.rank} in the other list` }, `${by > 0 ? '▲' : '▼'}${Math.abs(by)}`);
}

function numbers(item) {
  const parts = [['score', item.score], ['rating', item.rating], ['probability', item.probability]];
  return parts.filter(([, value]) => value !== undefined).map(([name, value]) => h('span', { class: 'number' }, name, ' ', figure(value)));
}

/** A list; `other` is one it is compared with. */
export function list(items, { label, other } = {}) {
  return h('ol', { class: 'items', 'aria-label': label ?? 'Items' }, items.map((item) =>
    h('li', {},
      h('span', { class: 'rank', 'aria-hidden': 'true' }, item.rank),
      h('div', { class: 'item' },
        h('div', { class: 'row' },
          h('a', { href: to('items', item.item_id), class: 'name' }, item.title),
          moved(item, other)),
        sentence(item.reason) && h('p', { class: 'reason' }, sentence(item.reason)),
        h('div', { class: 'numbers' }, item.title !== item.item_id && h('span', { class: 'id' }, item.item_id), numbers(item)),
        evidence(item.reason)))));
}
