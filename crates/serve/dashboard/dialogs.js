// Boxes that want an answer before anything goes on.

import { h } from './dom.js';

/** Shows a box; comes back with what its form gave, or null. */
function show(name, content, read) {
  return new Promise((resolve) => {
    const box = h('dialog', { 'aria-labelledby': `${name}-title`, id: name });
    const end = (value) => { box.close(); box.remove(); resolve(value); };
    box.addEventListener('cancel', (event) => { event.preventDefault(); end(null); });
    const form = h('form', { onsubmit: (event) => { event.preventDefault(); end(read(form)); } }, content(() => end(null)));
    box.append(form);
    document.body.append(box);
    box.showModal();
  });
}

/** Asks for a key. */
export function askForKey(why) {
  const content = (cancel) => [
    h('h2', { id: 'key-dialog-title' }, 'A key is needed'),
    why && h('p', { class: 'bad', role: 'alert' }, why),
    h('p', {}, 'It is kept until this tab is closed, and sent to this server alone. Make one with ', h('code', {}, 'tastemaker keys create'), '.'),
    h('label', {}, 'Key', h('input', { name: 'key', type: 'password', autocomplete: 'off', autofocus: true, required: true })),
    h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'quiet', onclick: cancel }, 'Cancel'), h('button', {}, 'Use it')),
  ];
  return show('key-dialog', content, (form) => form.elements.key.value.trim() || null);
}

/** Asks whether to go on. */
export function confirm(heading, text, button) {
  const content = (cancel) => [
    h('h2', { id: 'confirm-title' }, heading),
    h('p', {}, text),
    h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'quiet', onclick: cancel, autofocus: true }, 'Cancel'), h('button', { class: 'go' }, button)),
  ];
  return show('confirm', content, () => true);
}

/** Lists the keys of the keyboard. */
export function keyboardHelp(keys) {
  const content = (cancel) => [
    h('h2', { id: 'keys-title' }, 'Keys of the keyboard'),
    h('table', {}, h('tbody', {}, keys.map(([pressed, what]) =>
      h('tr', {}, h('th', { scope: 'row' }, pressed.split(' ').map((one) => [h('kbd', {}, one), ' '])), h('td', {}, what))))),
    h('div', { class: 'buttons' }, h('button', { type: 'button', autofocus: true, onclick: cancel }, 'Close')),
  ];
  return show('keys', content, () => null);
}
