// Experiments: which runs, what came of it and of those before, and a form for a new one.

import { get, path, post } from './client.js';
import { confirm } from './dialogs.js';
import { count, empty, figure, h, moment, panel, replace, say, title, trouble } from './dom.js';
import { table } from './table.js';

const percent = (x, digits = 2) => `${(100 * x).toFixed(digits)} %`;
const plus = (x) => (x > 0 ? '+' : '');
/** A difference of two shares. */
const points = (x) => `${plus(x)}${(100 * x).toFixed(2)} points`;
const between = (low, high, write) => h('span', { class: 'small' }, ` ${write(low)} to ${write(high)}`);

/** A mean with its interval. */
const rate = (stat) => (stat ? [percent(stat.mean), between(stat.low, stat.high, percent)] : '–');

/** How an arm answers, in words. */
function policy(arm) {
  const { model, context, pipeline } = arm.policy;
  const parts = [model ?? 'serving', ...Object.entries(context ?? {}).map(([key, value]) => `${key}=${value}`)];
  return [parts.join(', '), pipeline && h('details', {}, h('summary', {}, 'pipeline'), h('pre', { class: 'json' }, JSON.stringify(pipeline, null, 1)))];
}

const VERDICTS = { higher: 'more of its users take something', lower: 'fewer of its users take something', open: 'nothing is shown yet' };

function comparison(one) {
  const { contrast } = one;
  const text = [h('span', { class: `chip verdict ${one.verdict}` }, one.verdict), ' ', h('span', { class: 'id' }, one.arm), ' against ', h('span', { class: 'id' }, one.against), ': '];
  if (!contrast) return h('p', {}, text, 'each arm needs five users who took something, and five who did not.');
  return h('p', {}, text, VERDICTS[one.verdict], '. Difference ', h('strong', {}, points(contrast.difference)),
    between(contrast.low, contrast.high, points), `, lift ${plus(contrast.lift)}${percent(contrast.lift)}, p ${figure(one.p)} at any look `,
    h('span', { class: 'small' }, `(a single planned look: ${points(contrast.fixed_low)} to ${points(contrast.fixed_high)}, p ${figure(contrast.fixed_p)})`));
}

function results(experiment) {
  const { arms, comparisons, assignment, until } = experiment.results;
  const found = new Map(arms.map((arm) => [arm.name, arm]));
  const columns = [
    ['Arm', (arm) => h('span', { class: 'id' }, arm.name)],
    ['Weight', (arm) => arm.weight, 'right'],
    ['Answers with', policy],
    ['Users', (arm) => count(found.get(arm.name)?.users), 'right'],
    ['Finished', (arm) => count(found.get(arm.name)?.finished), 'right'],
    ['Lists', (arm) => count(found.get(arm.name)?.lists), 'right'],
    ['Seen', (arm) => count(found.get(arm.name)?.impressions), 'right'],
    ['Taken', (arm) => count(found.get(arm.name)?.successes), 'right'],
    ['Users who took something', (arm) => rate(found.get(arm.name)?.rate)],
    ['Lists something was taken from', (arm) => rate(found.get(arm.name)?.list_rate)],
  ];
  return [
    assignment.is_suspicious && h('p', { class: 'bad', role: 'alert' }, `Users came to the arms otherwise than by their weights (p ${figure(assignment.p)}): some are lost on the way. Do not trust these numbers.`),
    table(`Arms of ${experiment.name}`, columns, experiment.arms).element,
    comparisons.map(comparison),
    h('p', { class: 'small' }, `A user counts for ${experiment.window_hours} h from their first list on, and enters rates and comparisons when that time is over. As of `, moment(until), '.'),
  ];
}

/** Fields of the form for one arm. */
function armFields(place, name, models) {
  const option = (value) => h('option', { value }, value);
  return h('fieldset', {}, h('legend', {}, place === 0 ? 'First arm, which the other is compared with' : 'Second arm'),
    h('div', { class: 'bar ends' },
      h('label', {}, 'Name', h('input', { name: `name-${place}`, value: name, required: true, pattern: '[a-z0-9_\\-]{1,64}', autocomplete: 'off' })),
      h('label', {}, 'Model', h('select', { name: `model-${place}` }, ['serving', ...models].map(option))),
      h('label', {}, 'Context', h('input', { name: `context-${place}`, placeholder: 'key=value', autocomplete: 'off', spellcheck: 'false' }))));
}

/** Reads what is wanted of the form. */
function wanted(elements) {
  const arm = (place) => {
    const [key, ...value] = elements[`context-${place}`].value.trim().split('=');
    const policy = { model: elements[`model-${place}`].value };
    if (key) policy.context = { [key.trim()]: value.join('=').trim() };
    return { name: elements[`name-${place}`].value.trim(), policy };
  };
  const success = elements.success.value.split(',').map((kind) => kind.trim()).filter(Boolean);
  return {
    name: elements.experiment.value.trim(), arms: [arm(0), arm(1)], success,
    share: Number(elements.share.value), window_hours: Number(elements.hours.value), planned_users: Number(elements.planned.value),
  };
}

function starter(models, start) {
  const number = (name, value, more) => h('input', { name, type: 'number', step: 'any', value, required: true, ...more });
  const form = h('form', { class: 'stack', id: 'new-experiment', onsubmit: (event) => { event.preventDefault(); start(wanted(form.elements)); } },
    h('label', {}, 'Name', h('input', { name: 'experiment', required: true, pattern: '[a-z0-9_\\-]{1,64}', placeholder: 'small letters, digits, - and _', autocomplete: 'off' })),
    armFields(0, 'control', models), armFields(1, 'variant', models),
    h('div', { class: 'bar ends' },
      h('label', {}, 'Users that take part, %', number('share', '100', { min: 0.01, max: 100 })),
      h('label', {}, 'A user counts for, hours', number('hours', '24', { min: 0.001, max: 1440 })),
      h('label', {}, 'Planned users', number('planned', '10000', { min: 10, step: 1 })),
      h('label', {}, 'Events that count', h('input', { name: 'success', placeholder: 'all but impressions', autocomplete: 'off' }))),
    h('div', { class: 'buttons' }, h('button', { class: 'go' }, 'Start')));
  return form;
}

export async function show(root, _, signal) {
  const [outcome, running, past, fresh] = [h('div', { class: 'outcome' }), h('div', {}), h('div', {}), h('div', {})];
  root.append(title('Experiments'), outcome, running, fresh, past);

  const change = async (said, work) => {
    try {
      await work();
      say(said);
      replace(outcome, h('p', { class: 'done' }, said));
      await look();
    } catch (error) {
      if (!signal.aborted) replace(outcome, trouble(error));
    }
  };
  const start = (body) => change(`${body.name} has begun.`, () => post('/v1/experiments', body, signal));
  const stop = async (name) => {
    if (!await confirm(`Stop ${name}?`, 'Everybody gets the lists of the serving model again. Users whose time is not over do not enter the comparison. It cannot be started again.', 'Stop')) return;
    await change(`${name} has ended.`, () => post(path`/v1/experiments/${name}/stop`, undefined, signal));
  };
  const whole = (name) => get(path`/v1/experiments/${name}`, signal);

  async function look() {
    const [{ experiments }, { available }] = await Promise.all([get('/v1/experiments', signal), get('/v1/models', signal)]);
    const now = experiments.find((one) => one.is_running);
    const old = experiments.filter((one) => !one.is_running);
    replace(running, now && panel(h('span', { class: 'id' }, now.name),
      h('p', { class: 'small' }, 'Runs since ', moment(now.started), ` with ${now.share} % of the users.`),
      results(await whole(now.name)),
      h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'quiet', id: 'stop', onclick: () => stop(now.name) }, 'Stop'))));
    replace(fresh, !now && panel('A new experiment', starter(available, start)));
    replace(past, panel('Experiments that have ended', old.length ? old.map(ended) : empty('None has. An experiment draws users into arms that answer with different models, and says which one more of them take from.')));
  }

  /** One that has ended; its results are read when it is opened. */
  function ended(one) {
    const content = h('div', {});
    const open = async () => {
      if (content.childNodes.length) return;
      try { replace(content, results(await whole(one.name))); } catch (error) { if (!signal.aborted) replace(content, trouble(error)); }
    };
    return h('details', { ontoggle: open }, h('summary', {}, h('span', { class: 'id' }, one.name), ' ', moment(one.started), ' to ', moment(one.ended)), content);
  }
  await look();
}
