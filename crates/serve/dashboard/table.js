// Tables that screen readers can walk through, and pages of rows that go on.

import { h, replace, trouble } from './dom.js';

/**
 * A table. Columns are [heading, cell of a row, class]; the first cell names the row.
 */
export function table(caption, columns, rows) {
  const cell = (row) => ([, content, kind], place) => {
    const attributes = { class: kind, ...(place === 0 ? { scope: 'row' } : {}) };
    return h(place === 0 ? 'th' : 'td', attributes, content(row));
  };
  const body = h('tbody', {}, rows.map((row) => h('tr', {}, columns.map(cell(row)))));
  const element = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', {},
      h('caption', { class: 'hidden' }, caption),
      h('thead', {}, h('tr', {}, columns.map(([heading, , kind]) => h('th', { scope: 'col', class: kind }, heading)))),
      body));
  return { element, more: (rows) => body.append(...rows.map((row) => h('tr', {}, columns.map(cell(row))))) };
}

/**
 * Rows page by page: `load(cursor)` gives { rows, cursor }. Shows `nothing` where there are none.
 */
export async function pages(root, load, { caption, columns, nothing }) {
  let first = await load('');
  // A page of what was all listed before may be empty, and not be the last.
  while (!first.rows.length && first.cursor) first = await load(first.cursor);
  if (!first.rows.length) {
    replace(root, nothing);
    return;
  }
  const { element, more } = table(caption, columns, first.rows);
  let { cursor } = first;
  const button = h('button', { type: 'button', class: 'quiet more', onclick: next }, 'More');
  async function next() {
    button.disabled = true;
    try {
      const page = await load(cursor);
      more(page.rows);
      ({ cursor } = page);
      button.disabled = false;
      if (!cursor) button.remove();
    } catch (error) {
      if (error.name !== 'AbortError') button.replaceWith(trouble(error));
    }
  }
  replace(root, element, cursor && button);
}
