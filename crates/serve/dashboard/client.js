// Questions to the server these pages came from, and to no other.

import { askForKey } from './dialogs.js';

const KEY = 'tastemaker-key';

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? '',
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** What the server says when it does not do what was asked. */
export class Problem extends Error {
  constructor(status, body, requestId) {
    super(body?.detail ?? `the server answered ${status}`);
    this.status = status;
    this.title = body?.title ?? `Status ${status}`;
    this.type = body?.type;
    this.requestId = requestId;
  }
}

/** Makes a path: path`/v1/users/${id}/history`; what is put in is one part, whatever it holds. */
export const path = (texts, ...parts) => String.raw({ raw: texts }, ...parts.map(encodeURIComponent));

/** Makes what stands behind the question mark. */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return given.length ? `?${new URLSearchParams(given)}` : '';
}

let asking = null;

/** Asks for a key, once however many questions wait for it. */
function newKey(why) {
  asking ??= askForKey(why).then((value) => {
    if (value) key.set(value);
    return value;
  }).finally(() => { asking = null; });
  return asking;
}

async function send(method, address, { body, signal }) {
  const headers = {};
  if (key.get()) headers['x-api-key'] = key.get();
  if (body !== undefined) headers['content-type'] = 'application/json';
  const begun = performance.now();
  let response;
  try {
    response = await fetch(address, { method, headers, signal, cache: 'no-store', body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw Object.assign(new Error('the server does not answer: is it still running?'), { title: 'No answer' });
  }
  const text = await response.text();
  let data = text;
  try { data = JSON.parse(text); } catch { /* text, then */ }
  return { response, data, ms: performance.now() - begun, requestId: response.headers.get('x-request-id') };
}

/** Asks, with a key where one is needed; gives the answer whole, also a bad one. */
export async function exchange(method, address, options = {}) {
  for (;;) {
    const used = key.get();
    const got = await send(method, address, options);
    if (got.response.status !== 401) return got;
    // Another question may have brought a new key meanwhile.
    if (key.get() === used && !await newKey(used ? 'That key is not valid.' : '')) return got;
  }
}

/** Asks; gives what came back, or throws the problem. */
export async function ask(method, address, options) {
  const got = await exchange(method, address, options);
  if (!got.response.ok) throw new Problem(got.response.status, got.data, got.requestId);
  return got.data;
}

export const get = (address, signal) => ask('GET', address, { signal });
export const post = (address, body, signal) => ask('POST', address, { body, signal });
export const put = (address, body, signal) => ask('PUT', address, { body, signal });
