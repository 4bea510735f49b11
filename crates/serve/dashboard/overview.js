// What happens now, and what happened within the last hour.

import { chart } from './chart.js';
import { get, query } from './client.js';
import { brief, command, count, duration, empty, h, panel, replace, title, to, trouble } from './dom.js';
import { table } from './table.js';

/** Points of a line: an hour has more samples than can be told apart. */
const POINTS = 120;
const MINUTE = 60_000;
/** Looks at the course between two looks at how much there is. */
const COUNTING = 12;

const sum = (samples, name) => samples.reduce((all, sample) => all + sample[name], 0);
const highest = (samples, name) => {
  const values = samples.map((sample) => sample[name]).filter((value) => value !== undefined);
  return values.length ? Math.max(...values) : null;
};

/** The median of what a request took, over samples: each weighs as its requests. */
function middle(samples) {
  const all = samples.filter((sample) => sample.p50_ms !== undefined).sort((a, b) => a.p50_ms - b.p50_ms);
  let left = sum(all, 'requests') / 2;
  for (const sample of all) {
    left -= sample.requests;
    if (left <= 0) return sample.p50_ms;
  }
  return null;
}

/** Puts neighbouring samples together, so that there are at most POINTS; `least` of them where what is counted is rare. */
function buckets(samples, least = 1) {
  const size = Math.max(1, Math.ceil(samples.length / POINTS), Math.min(least, Math.floor(samples.length / 10)));
  const all = [];
  // From the end, so that the newest bucket is full.
  for (let end = samples.length; end > 0; end -= size) all.unshift(samples.slice(Math.max(0, end - size), end));
  return all;
}

const tile = (name, value, more) => h('div', { class: 'tile' }, h('dt', {}, name), h('dd', {}, value, more && h('small', {}, more)));

function tiles(samples) {
  const now = samples.filter((sample) => sample.time > Date.now() - MINUTE);
  const seconds = sum(now, 'seconds');
  const [hits, misses, lists] = ['hits', 'misses', 'lists'].map((name) => sum(samples, name));
  const failed = sum(samples, 'failed');
  return h('dl', { class: 'tiles' },
    tile('Requests', seconds ? (sum(now, 'requests') / seconds).toFixed(1) : '0.0', 'a second'),
    tile('Half within', duration(middle(now)), 'last minute'),
    tile('99 % within', duration(highest(now, 'p99_ms')), 'last minute'),
    tile('Events', brief(sum(samples, 'events')), 'last hour'),
    tile('Found again', hits + misses ? `${Math.round((100 * hits) / (hits + misses))} %` : '–', 'of lists; the rest was made'),
    tile('From lists', lists ? `${((100 * sum(samples, 'from_lists')) / lists).toFixed(1)}` : '–', 'in a hundred'),
    tile('Failed', brief(failed), 'last hour'));
}

function charts(samples) {
  const [parts, minutes] = [buckets(samples), buckets(samples, MINUTE / 5000)];
  const ends = (all) => all.map((part) => part[part.length - 1].time);
  const xs = ends(parts);
  const per = (all, name, unit) => all.map((part) => (unit * sum(part, name)) / sum(part, 'seconds'));
  const x = (time) => new Date(time).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
  const y = (value) => (value >= 100 ? brief(Math.round(value)) : String(Math.round(value * 10) / 10));
  const share = (part) => (sum(part, 'lists') ? (100 * sum(part, 'from_lists')) / sum(part, 'lists') : null);
  return [
    chart({ label: 'Requests a second', xs, x, y, lines: [
      { name: 'all', kind: 'a', values: per(parts, 'requests', 1) },
      { name: 'failed', kind: 'bad', values: per(parts, 'failed', 1) }] }),
    chart({ label: 'Time of an answer', xs, x, y: duration, lines: [
      { name: 'p50', kind: 'a', values: parts.map(middle) },
      { name: 'p99', kind: 'b', values: parts.map((part) => highest(part, 'p99_ms')) }] }),
    chart({ label: 'Events a minute', xs: ends(minutes), x, y, lines: [{ name: 'new', kind: 'a', values: per(minutes, 'events', 60) }] }),
    chart({ label: 'Quality: taken from a hundred lists', xs: ends(minutes), x, y, lines: [{ name: 'taken', kind: 'c', values: minutes.map(share) }] }),
  ];
}

function routes(rows) {
  if (!rows.length) return empty('Nobody has asked anything within this hour. Try it:', command(`curl '${location.origin}/v1/recommend?n=5'`));
  return table('Requests of the last hour by route', [
    ['Route', (row) => h('code', {}, `${row.method} ${row.path}`)],
    ['Requests', (row) => count(row.requests), 'right'],
    ['Failed', (row) => count(row.failed), 'right'],
    ['p50', (row) => duration(row.p50_ms), 'right'],
    ['p99', (row) => duration(row.p99_ms), 'right'],
  ], rows).element;
}

const fact = (name, value) => [h('dt', {}, name), h('dd', {}, value)];

function store(stats) {
  const { users, items, events, recommendations } = stats.store;
  return h('dl', { class: 'facts' }, fact('Events', count(events)), fact('Items', count(items)), fact('Users with fields', count(users)), fact('Lists shown', count(recommendations)));
}

function model(stats) {
  if (!stats.model) {
    return empty('No model answers yet: lists are what is popular and new. Train one, and start the server with it:',
      command('tastemaker train --data data --out model\ntastemaker serve --model model'));
  }
  return [
    h('p', {}, h('a', { href: to('models'), class: 'name' }, stats.model.id)),
    h('dl', { class: 'facts' }, fact('Users', count(stats.model.users)), fact('Items', count(stats.model.items)), fact('Items taken in since', count(stats.model.newcomers))),
  ];
}

export async function show(root, _, signal) {
  const [top, drawn, asked, kept, answering] = ['div', 'div', 'div', 'div', 'div'].map((tag) => h(tag, {}));
  const notice = h('div', {});
  drawn.className = 'charts';
  top.className = 'tiles-box';
  root.append(title('Overview'), notice, top, drawn,
    h('div', { class: 'columns wide-first' }, panel('Routes', asked), h('div', {}, panel('Model', answering), panel('Store', kept))));
  let samples = [];
  const recount = async () => {
    const stats = await get('/v1/stats', signal);
    replace(kept, store(stats));
    replace(answering, model(stats));
  };
  const look = async () => {
    const newest = samples[samples.length - 1]?.time;
    const series = await get(`/v1/stats/series${query({ since: newest })}`, signal);
    samples = [...samples, ...series.samples].filter((sample) => sample.time > Date.now() - 60 * MINUTE);
    replace(top, tiles(samples));
    // What somebody is looking at stays as it is for a while.
    if (!drawn.firstChild || !drawn.matches(':hover')) replace(drawn, charts(samples));
    if (!asked.contains(document.activeElement)) replace(asked, routes(series.routes));
    return 1000 * series.every_s;
  };
  const [every] = await Promise.all([look(), recount()]);
  let looks = 0;
  const again = async () => {
    try {
      if (document.hidden) return;
      await look();
      looks += 1;
      // Counting all rows of the store takes a while where there are many.
      if (looks % COUNTING === 0) await recount();
      replace(notice);
    } catch (error) {
      if (!signal.aborted) replace(notice, trouble(error));
    }
  };
  const timer = setInterval(again, every);
  signal.addEventListener('abort', () => clearInterval(timer));
}
