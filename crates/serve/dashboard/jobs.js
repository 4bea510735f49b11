// Trainings that the server was told to begin, or began by itself.

import { ask, get, path, post } from './client.js';
import { confirm } from './dialogs.js';
import { empty, h, moment, panel, replace, say, trouble } from './dom.js';
import { table } from './table.js';

/** Time between two looks at one that is under way. */
const LOOK_MS = 1500;

const isOver = (job) => !['waiting', 'running'].includes(job.state);

const because = { asked: 'somebody asked', events: 'enough new events', hours: 'it was time' };

/** What came of a job, or its last words. */
function outcome(job) {
  const judged = job.report?.judged;
  return [
    job.why && h('div', {}, job.why),
    (judged || job.output) && h('details', {}, h('summary', {}, 'More'),
      judged && h('pre', { class: 'json', tabindex: '0' }, JSON.stringify(judged, null, 1)),
      job.output && h('pre', { class: 'json output', tabindex: '0' }, job.output)),
  ];
}

/** The panel of jobs; `changed` is called when another model answers. Gives { element, look }. */
export function jobs(signal, changed) {
  const [list, wrong] = [h('div', {}), h('div', {})];
  const begin = h('button', { type: 'button', id: 'train-anew' }, 'Train anew');
  const element = panel('Trainings of this server', h('p', { class: 'small' },
    'The serving model is trained again on its data and on what was heard since; the new one answers if it is not worse on the newest events. ', begin), wrong, list);
  let timer;
  signal.addEventListener('abort', () => clearTimeout(timer));

  const act = async (work) => {
    replace(wrong);
    try {
      await work();
      await look();
    } catch (error) {
      if (!signal.aborted) replace(wrong, trouble(error));
    }
  };
  begin.addEventListener('click', () => act(async () => {
    if (!await confirm('Train anew?', 'A process of its own trains for as long as the first training took, twice; answers go on.', 'Train')) return;
    const job = await post('/v1/jobs', { kind: 'retrain' }, signal);
    say(`job ${job.id} begins`);
  }));
  const cancel = (job) => act(async () => {
    if (await confirm('Cancel this training?', 'What it has done so far is lost; the model that answers goes on.', 'Cancel the training')) {
      await ask('DELETE', path`/v1/jobs/${job.id}`, { signal });
    }
  });
  const columns = [
    ['Began', (job) => moment(job.created)],
    ['State', (job) => h('span', { class: `chip ${job.state}` }, job.state)],
    ['Because', (job) => because[job.because] ?? job.because],
    ['Model', (job) => [h('span', { class: 'id' }, job.model ?? '–'), job.promoted && h('span', { class: 'chip serving' }, 'promoted')]],
    ['What came of it', outcome],
    ['', (job) => !isOver(job) && h('button', { type: 'button', class: 'quiet cancel', onclick: () => cancel(job) }, 'Cancel')],
  ];
  let running = null;
  async function look() {
    clearTimeout(timer);
    let all;
    try {
      ({ jobs: all } = await get('/v1/jobs', signal));
    } catch (error) {
      if (error.status !== 403) throw error;
      begin.disabled = true;
      replace(list, empty('Trainings are for keys with the scope admin.'));
      return;
    }
    replace(list, all.length ? table('Trainings', columns, all).element : empty('There was none yet.'));
    const now = all.find((job) => !isOver(job));
    begin.disabled = Boolean(now);
    const ended = running && all.find((job) => job.id === running && isOver(job));
    running = now?.id ?? null;
    if (ended) {
      say(`the training is ${ended.state}`);
      await changed();
    }
    if (now) timer = setTimeout(() => look().catch((error) => { if (!signal.aborted) replace(wrong, trouble(error)); }), LOOK_MS);
  }
  return { element, look };
}
