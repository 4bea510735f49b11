// Lines over time or over epochs, drawn here: no library, no network.

import { h, replace, s } from './dom.js';

const WIDTH = 560;
const HEIGHT = 150;
const LEFT = 50;
const BOTTOM = 20;
const TOP = 8;
const RIGHT = 8;

/** Rounds up to a number that reads well: 1, 2, 2.5, 5 or 10 times a power of ten. */
function nice(x) {
  if (!(x > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= x * 0.999999);
}

/**
 * A chart of lines. `lines` are { name, values, kind }, a value null where there is none; `xs` are their places.
 * `y` and `x` write a value; the axis begins at 0, or
 * with `floor: 'fit'` near the least value.
 */
export function chart({ label, xs, lines, y = String, x = String, floor }) {
  const all = lines.flatMap((line) => line.values).filter((value) => value !== null && Number.isFinite(value));
  const [least, most] = all.length ? [floor === 'fit' ? Math.min(...all) : 0, Math.max(...all)] : [0, 1];
  const step = nice((most - least) / 3);
  const low = Math.floor(least / step + 1e-9) * step;
  const steps = Math.max(1, Math.ceil((most - low) / step - 1e-9));
  const span = steps * step;
  const [first, last] = [xs[0] ?? 0, xs[xs.length - 1] ?? 1];
  const px = (value) => LEFT + ((value - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT);
  const py = (value) => TOP + (1 - (value - low) / span) * (HEIGHT - TOP - BOTTOM);

  const grid = Array.from({ length: steps + 1 }, (_, place) => {
    const value = low + place * step;
    return [
      s('line', { class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: py(value), y2: py(value) }),
      s('text', { class: 'axis', x: LEFT - 6, y: py(value) + 4, 'text-anchor': 'end' }, y(value)),
    ];
  });
  const ends = [[first, 'start', LEFT], [last, 'end', WIDTH - RIGHT]].map(([value, anchor, at]) =>
    s('text', { class: 'axis', x: at, y: HEIGHT - 5, 'text-anchor': anchor }, x(value)));
  const drawn = lines.map((line) => s('path', { class: `line ${line.kind}`, d: trace(xs, line.values, px, py) }));
  const cross = s('line', { class: 'cross', y1: TOP, y2: HEIGHT - BOTTOM, visibility: 'hidden' });
  const svg = s('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': summary(label, lines, y) }, grid, ends, drawn, cross);

  const legend = h('figcaption', {});
  const tell = (index) => replace(legend,
    h('span', { class: 'label' }, label),
    h('span', { class: 'at' }, index === xs.length - 1 || !xs.length ? '' : x(xs[index])),
    lines.map((line) => h('span', { class: `key ${line.kind}` }, line.name, ' ', h('b', {}, shown(line.values[index], y)))));
  const newest = xs.length - 1;
  tell(newest);
  svg.addEventListener('pointermove', (event) => {
    if (!xs.length) return;
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * WIDTH;
    const index = xs.reduce((best, value, i) => (Math.abs(px(value) - at) < Math.abs(px(xs[best]) - at) ? i : best), 0);
    cross.setAttribute('x1', px(xs[index]));
    cross.setAttribute('x2', px(xs[index]));
    cross.setAttribute('visibility', 'visible');
    tell(index);
  });
  svg.addEventListener('pointerleave', () => { cross.setAttribute('visibility', 'hidden'); tell(newest); });
  return h('figure', { class: 'chart' }, legend, svg);
}

const shown = (value, y) => (value === null || value === undefined ? '–' : y(value));

/** The way of a line; one point alone is a short stroke. */
function trace(xs, values, px, py) {
  let way = '';
  let isOpen = false;
  values.forEach((value, i) => {
    if (value === null || !Number.isFinite(value)) { isOpen = false; return; }
    const [a, b] = [px(xs[i]).toFixed(1), py(value).toFixed(1)];
    way += isOpen ? `L${a} ${b}` : `M${a} ${b}h.01`;
    isOpen = true;
  });
  return way;
}

/** What the drawing shows, for who does not see it. */
function summary(label, lines, y) {
  const told = lines.map((line) => {
    const values = line.values.filter((value) => value !== null);
    if (!values.length) return `${line.name}: nothing yet`;
    return `${line.name}: now ${y(values[values.length - 1])}, between ${y(Math.min(...values))} and ${y(Math.max(...values))}`;
  });
  return `${label}. ${told.join('; ')}`;
}
