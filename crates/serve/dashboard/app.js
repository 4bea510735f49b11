// The frame around the pages: which one is shown, who asks, the light, the search.

import * as api from './api.js';
import { get, key } from './client.js';
import { askForKey } from './dialogs.js';
import { h, replace, to, trouble } from './dom.js';
import * as experiments from './experiments.js';
import * as failures from './failures.js';
import * as find from './find.js';
import * as items from './items.js';
import * as keyboard from './keyboard.js';
import * as models from './models.js';
import * as overview from './overview.js';
import * as settings from './settings.js';
import * as trying from './try.js';
import * as users from './users.js';

const PAGES = {
  overview: [overview.show, 'Overview'],
  users: [users.show, 'Users'],
  items: [items.show, 'Items'],
  'add-item': [items.add, 'Add an item'],
  try: [trying.show, 'Try'],
  models: [models.show, 'Models'],
  experiments: [experiments.show, 'Experiments'],
  settings: [settings.show, 'Configuration'],
  failures: [failures.show, 'Failures'],
  api: [api.show, 'API'],
  find: [find.show, 'Find'],
};
const UNDER = { 'add-item': 'items' };

const main = document.getElementById('main');
let leaving = null;
/** The key whose owner is shown. */
let known = null;

/** Reads the address: a page, and what it is about. */
function place() {
  const parts = location.hash.replace(/^#\/?/, '').split('/');
  const decode = (part) => { try { return decodeURIComponent(part); } catch { return part; } };
  const [page, ...rest] = parts.map(decode);
  return [PAGES[page] ? page : 'overview', rest.filter((part) => part !== '')];
}

async function open() {
  leaving?.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [page, rest] = place();
  const [show, name] = PAGES[page];
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.page === (UNDER[page] ?? page)) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${rest[0] ? `${rest[0].slice(0, 60)} · ` : ''}${name} · Tastemaker`;
  main.setAttribute('aria-busy', 'true');
  const root = h('div', { class: `page ${page}` });
  replace(main, root);
  scrollTo(0, 0);
  try {
    await show(root, rest, signal);
  } catch (error) {
    if (signal.aborted) return;
    root.append(trouble(error));
  }
  if (signal.aborted) return;
  main.setAttribute('aria-busy', 'false');
  main.dataset.page = page;
  const heading = root.querySelector('h1');
  if (!document.activeElement?.matches('input, textarea, select')) heading?.focus({ preventScroll: true });
  if (known !== key.get()) identify();
}

/** Shows whose data this is, and what may be done; once for a key. */
async function identify() {
  const who = document.getElementById('who');
  try {
    const { tenant, scope } = await get('/v1/stats');
    known = key.get();
    replace(who, tenant, ' · ', scope);
  } catch {
    replace(who);
  }
}

function toggleTheme() {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const next = (root.dataset.theme ?? system) === 'dark' ? 'light' : 'dark';
  root.dataset.theme = next;
  try { localStorage.setItem('tastemaker-theme', next); } catch { /* not kept, then */ }
}

// The link that skips to the content is no page.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById('theme').addEventListener('click', toggleTheme);
document.getElementById('key').addEventListener('click', async () => {
  const value = await askForKey(key.get() ? 'A key is in use; this one takes its place.' : '');
  if (value) { key.set(value); open(); }
});
document.getElementById('search').addEventListener('submit', (event) => {
  event.preventDefault();
  const box = document.getElementById('search-box');
  if (box.value.trim()) location.hash = to('find', box.value.trim());
  box.blur();
});
addEventListener('hashchange', open);
keyboard.listen();
open();
