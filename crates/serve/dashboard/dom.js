// Elements. Whatever is shown becomes text: nothing here reads markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked' || name === 'disabled') element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  put(element, children);
  return element;
}

function put(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Makes an element: h('a', { href: '#/users', onclick: go }, 'Users'). */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** Makes an element of a drawing. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Puts children in the place of those that were there. */
export function replace(element, ...children) {
  element.replaceChildren();
  put(element, children);
  return element;
}

/** A link to a page; parts may hold anything. */
export const to = (...parts) => `#/${parts.map(encodeURIComponent).join('/')}`;

const number = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** 12,345 */
export const count = (n) => number.format(n ?? 0);

/** 12.3K where there is little room. */
export const brief = (n) => (n < 10_000 ? number.format(n ?? 0) : short.format(n));

/** A score or another number that may be of any size. */
export const figure = (x) => (x === 0 || (Math.abs(x) >= 0.01 && Math.abs(x) < 10_000) ? x.toFixed(3) : x.toPrecision(3));

/** 3.2 ms, 1.4 s */
export function duration(ms) {
  if (ms === undefined || ms === null) return '–';
  if (ms === 0) return '0 ms';
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** 11.2 MB */
export function bytes(n) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) { n /= 1000; unit += 1; }
  return `${unit && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

/** A time as people of this place write it. */
export function moment(value) {
  const time = new Date(value);
  if (Number.isNaN(time.getTime())) return String(value);
  const iso = time.toISOString();
  return h('time', { datetime: iso, title: iso }, time.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }));
}

/** The title of a page. */
export const title = (text, ...more) => h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, text), ...more);

/** Says what there is not, and what to do next. */
export const empty = (text, ...more) => h('div', { class: 'empty' }, h('p', {}, text), ...more);

/** A command that can be copied. */
export const command = (text) => h('pre', { class: 'command', tabindex: '0' }, h('code', {}, text));

/** Something that went wrong. */
export function trouble(error) {
  const id = error.requestId;
  return h('div', { class: 'trouble', role: 'alert' },
    h('strong', {}, error.title ?? 'That did not work'),
    h('p', {}, error.message || String(error)),
    (error.type || id) && h('p', { class: 'small' },
      error.type && h('code', {}, error.type), ' ',
      id && ['request ', h('code', { class: 'request-id' }, id)]));
}

/** A box with a heading. */
export const panel = (heading, ...children) => h('section', { class: 'panel' }, heading && h('h2', {}, heading), ...children);

/** Tells screen readers what just happened. */
export function say(text) {
  document.getElementById('said').textContent = text;
}
