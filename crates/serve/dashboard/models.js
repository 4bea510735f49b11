// Models: which answers, which came before, which could; how they were made and how they learnt.

import { chart } from './chart.js';
import { get, post } from './client.js';
import { confirm } from './dialogs.js';
import { bytes, command, count, empty, figure, h, moment, panel, replace, say, title, trouble } from './dom.js';
import { jobs } from './jobs.js';
import { table } from './table.js';

const chips = (roles) => roles.map((role) => h('span', { class: `chip ${role}` }, role));

/** What a loaded model says of itself. */
function card(model) {
  const { about } = model;
  const fact = (name, ...value) => [h('dt', {}, name), h('dd', {}, ...value)];
  const parts = (about?.parts ?? []).map((part) => h('details', {}, h('summary', {}, part.name), h('pre', { class: 'json', tabindex: '0' }, JSON.stringify(part.settings, null, 1))));
  const files = Object.entries(about?.files ?? {});
  return panel([...chips([model.role]), ' ', h('span', { class: 'id' }, model.id)],
    h('dl', { class: 'facts' },
      fact('Kind', about?.model ?? '–'),
      fact('Made', moment(1000 * model.created)),
      fact('Seed', about?.seed ?? '–'),
      fact('Encoder', about?.encoder ?? 'none'),
      fact('Items taken in since', count(model.newcomers))),
    parts.length > 0 && [h('h3', {}, 'Parts and their settings'), parts],
    files.length > 0 && h('details', {}, h('summary', {}, `Files and checksums (${files.length})`), table('Files', [
      ['File', ([name]) => h('code', {}, name)],
      ['Size', ([, file]) => bytes(file.bytes ?? 0), 'right'],
      ['SHA-256', ([, file]) => h('code', { class: 'hash' }, file.sha256 ?? '')],
    ], files).element));
}

/** How the trainings of a model went. */
function curves(run) {
  const epoch = (x) => `epoch ${x}`;
  return run.trainings.map((training) => {
    const xs = training.epochs.map((_, place) => place + 1);
    const values = (name) => training.epochs.map((one) => one[name] ?? null);
    const hasJudge = values('validation').some((value) => value !== null);
    return h('div', { class: 'training' },
      h('h4', {}, training.model, h('small', {}, ` best after epoch ${training.best_epoch}`)),
      h('div', { class: 'charts' },
        chart({ label: 'Loss', xs, x: epoch, y: figure, floor: 'fit', lines: [{ name: 'training', kind: 'a', values: values('loss') }] }),
        hasJudge && chart({ label: 'Validation', xs, x: epoch, y: figure, lines: [{ name: 'result', kind: 'c', values: values('validation') }] })));
  });
}

/** The last acts of administrators, and erasures; keys of others may not read them. */
async function changes(signal) {
  try {
    const page = await get('/v1/audit?n=20', signal);
    return page.acts.length ? table('Who changed what', [
      ['When', (act) => moment(act.timestamp)],
      ['Who', (act) => h('code', {}, act.who)],
      ['What', (act) => h('code', {}, act.act)],
      ['On', (act) => h('span', { class: 'id' }, act.subject ?? '')],
      ['Outcome', (act) => act.outcome],
    ], page.acts).element : empty('Nobody has promoted a model, begun a training, erased anybody or made a key yet.');
  } catch (error) {
    if (error.status === 403) return empty('This takes a key with the scope admin.');
    throw error;
  }
}

export async function show(root, _, signal) {
  const outcome = h('div', { class: 'outcome' });
  const [loaded, runs, learnt, acts] = [h('div', { class: 'columns' }), h('div', {}), h('div', {}), h('div', {})];
  const back = h('button', { type: 'button', id: 'roll-back', class: 'quiet' }, 'Roll back');
  const trainings = jobs(signal, look);
  root.append(title('Models', back), outcome, loaded, trainings.element, panel('All models', runs), panel('Training runs', learnt), panel('Who changed what', acts));

  const change = async (heading, text, button, work) => {
    if (!await confirm(heading, text, button)) return;
    replace(outcome, h('p', { class: 'small', role: 'status' }, 'Every file is checked first…'));
    try {
      const model = await work();
      say(`${model.id} answers now`);
      replace(outcome, h('p', { class: 'done' }, h('span', { class: 'id' }, model.id), ' answers now.'));
      await look();
    } catch (error) {
      if (!signal.aborted) replace(outcome, trouble(error));
    }
  };
  const promote = (name) => change(`Promote ${name}?`, 'It answers from the next request on, also after a restart. The one that answers now can be brought back.', 'Promote',
    () => post('/v1/models/promote', { name }, signal));
  back.addEventListener('click', () => change('Roll back?', 'The model before answers again, also after a restart.', 'Roll back',
    () => post('/v1/models/rollback', undefined, signal)));

  const columns = [
    ['Model', (run) => [h('span', { class: 'id' }, run.name), ' ', chips(run.roles.filter((role) => role !== 'available'))]],
    ['Made', (run) => (run.fault ? h('span', { class: 'bad' }, run.fault) : moment(1000 * run.created))],
    ['Kind', (run) => run.model],
    ['Parts', (run) => run.parts.join(', ')],
    ['Encoder', (run) => run.encoder ?? '–'],
    ['Seed', (run) => run.seed, 'right'],
    ['Size', (run) => bytes(run.bytes), 'right'],
    ['', (run) => run.roles.includes('available') && !run.roles.includes('serving') && !run.fault
      && h('button', { type: 'button', class: 'quiet promote', 'aria-label': `Promote ${run.name}`, onclick: () => promote(run.name) }, 'Promote')],
  ];
  async function look() {
    const [models, all] = await Promise.all([get('/v1/models', signal), get('/v1/models/runs', signal)]);
    const cards = models.data.filter((model) => model.role !== 'encoder');
    back.disabled = !cards.some((model) => model.role === 'previous');
    back.title = back.disabled ? 'There is no model before this one' : '';
    replace(loaded, cards.length ? cards.map(card) : panel(null, empty('No model answers yet. Train one, and start the server with it:',
      command('tastemaker train --data data --out models/default/first\ntastemaker serve --models models'))));
    replace(acts, await changes(signal));
    replace(runs, all.runs.length ? table('All models', columns, all.runs).element : empty('None is there. Start the server with --models DIR, and put models into DIR/TENANT.'));
    const taught = all.runs.filter((run) => run.trainings.length);
    replace(learnt, taught.length
      ? taught.map((run, place) => h('details', { open: place === 0 }, h('summary', {}, h('span', { class: 'id' }, run.name)), curves(run)))
      : empty('No model here learnt by epochs, so there are no curves. One that does, such as sasrec, leaves them beside its folder: ', h('code', {}, 'NAME.curves.json'), '.'));
  }
  await Promise.all([look(), trainings.look()]);
}
