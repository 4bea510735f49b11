// What went wrong: requests that failed or were turned away, and warnings.

import { get } from './client.js';
import { count, empty, h, moment, panel, replace, title, trouble } from './dom.js';
import { table } from './table.js';

/** Milliseconds between two looks. */
const EVERY = 5000;

const columns = [
  ['When', (row) => moment(row.timestamp)],
  ['Times', (row) => count(row.times), 'right'],
  ['What', (row) => (row.kind === 'warning' ? h('span', { class: 'chip' }, 'warning') : h('code', {}, row.route))],
  ['Status', (row) => row.status ?? '', 'right'],
  ['Problem', (row) => h('code', {}, (row.problem ?? '').replace('urn:tastemaker:problem:', ''))],
  ['Detail', (row) => row.detail],
  ['Request', (row) => h('code', { class: 'request-id' }, row.request_id ?? '')],
];

export async function show(root, _, signal) {
  const content = h('div', {});
  root.append(title('Failures'), panel(null, content));
  let last = '';
  const look = async () => {
    const answer = await get('/v1/failures', signal);
    const text = JSON.stringify(answer);
    // A table that is read must not be drawn anew for nothing.
    if (text === last) return;
    last = text;
    replace(content, answer.failures.length
      ? [h('p', { class: 'small' }, `The last ${answer.kept} since the server began, the newest first. The log of the server says more under the same request.`), table('Failures', columns, answer.failures).element]
      : empty('Nothing has failed since the server began. Requests that fail with 500 or more, that are turned away, and warnings would stand here.'));
  };
  await look();
  const timer = setInterval(async () => {
    try {
      if (!document.hidden) await look();
    } catch (error) {
      if (!signal.aborted) replace(content, trouble(error));
      last = '';
    }
  }, EVERY);
  signal.addEventListener('abort', () => clearInterval(timer));
}
