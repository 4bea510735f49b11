// The keyboard: `g` and a letter lead to a page, `/` to the search, `?` shows all of it.

import { keyboardHelp } from './dialogs.js';

const PAGES = { o: 'overview', u: 'users', i: 'items', t: 'try', m: 'models', e: 'experiments', c: 'settings', f: 'failures', a: 'api' };
const NAMES = { settings: 'configuration', api: 'the API' };
/** Milliseconds between `g` and its letter. */
const PATIENCE = 1200;

const help = () => keyboardHelp([
  ...Object.entries(PAGES).map(([letter, page]) => [`g ${letter}`, `Go to ${NAMES[page] ?? page}`]),
  ['/', 'Find users and items'],
  ['?', 'Show these keys'],
  ['Esc', 'Leave a box or a field'],
]);

export function listen() {
  let pressed = 0;
  document.getElementById('help').addEventListener('click', help);
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const isWriting = event.target.closest?.('input, textarea, select, [contenteditable]');
    if (isWriting) {
      if (event.key === 'Escape') event.target.blur();
      return;
    }
    if (event.key === '/') {
      event.preventDefault();
      document.getElementById('search-box').focus();
    } else if (event.key === '?') {
      event.preventDefault();
      help();
    } else if (event.key === 'g') {
      pressed = event.timeStamp;
    } else if (PAGES[event.key] && pressed && event.timeStamp - pressed < PATIENCE) {
      event.preventDefault();
      pressed = 0;
      location.hash = `#/${PAGES[event.key]}`;
    } else {
      pressed = 0;
    }
  });
}
