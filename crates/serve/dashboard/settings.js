// The settings in force, with what they are for. They are changed where they are set: flags, and the file that `train` reads.

import { get } from './client.js';
import { empty, h, panel, replace, title } from './dom.js';
import { table } from './table.js';

const shown = (value) => (value === null ? h('span', { class: 'small' }, 'not set') : h('code', {}, typeof value === 'string' ? value : JSON.stringify(value)));

const columns = [
  ['Setting', (row) => h('code', {}, row.name)],
  ['Value', (row) => shown(row.value)],
  ['What it is for', (row) => row.about],
];

export async function show(root, _, signal) {
  const content = h('div', {});
  const box = h('input', { type: 'search', id: 'setting-search', placeholder: 'part of a name or of its text', autocomplete: 'off', oninput: () => draw() });
  root.append(title('Configuration'),
    h('p', {}, 'To look at. The server takes its settings as flags (', h('code', {}, 'tastemaker serve --help'), '), a model those of its training (', h('code', {}, 'tastemaker config default'), ').'),
    h('form', { class: 'bar', role: 'search', onsubmit: (event) => event.preventDefault() }, h('label', { for: 'setting-search' }, 'Find a setting'), box),
    content);
  const all = await get('/v1/settings', signal);
  const sections = [
    { name: `Server ${all.version}`, about: '', settings: all.server },
    ...all.sections.map((section) => ({ ...section, name: `[${section.name}]` })),
  ];
  function draw() {
    const wanted = box.value.trim().toLowerCase();
    const fits = (section) => (row) => `${section.name} ${row.name} ${row.about}`.toLowerCase().includes(wanted);
    const left = sections.map((section) => ({ ...section, settings: section.settings.filter(fits(section)) })).filter((section) => section.settings.length);
    replace(content,
      left.map((section) => panel(section.name, section.about && h('p', { class: 'small' }, section.about), table(section.name, columns, section.settings).element)),
      !left.length && empty('No setting is like that.'),
      !all.model && !wanted && empty('No model answers, so there are no settings of one.'));
  }
  draw();
}
