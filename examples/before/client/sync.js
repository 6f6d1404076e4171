/**
 * Keeps queue and replica in step with the backend: sends what waits, then asks what is new. Owns
 * timers, back-off and the browser's signals; one round at a time. Never decides what a change
 * means.
 */

import { HttpError } from './api.js';

const BATCH_MAX = 100;
const BACKOFF_MIN_MS = 1_000;
const BACKOFF_MAX_MS = 60_000;

/** Makes the loop. `page` is the browser's window, where there is one. */
export function createSync({ call, queue, replica, pollMs, page, onChange }) {
  let running = false;
  let busy = false;
  let again = false;
  let failures = 0;
  let batch = BATCH_MAX;
  let connected = false;
  let timer;

  const mayRun = () => running && page?.navigator.onLine !== false;
  const isHidden = () => page?.document.visibilityState === 'hidden';

  function setConnected(now) {
    if (connected === now) return;
    connected = now;
    onChange();
  }

  async function push() {
    while (queue.waiting().length > 0) {
      const changes = queue.waiting().slice(0, batch);
      const answers = await send(changes);
      // Rows before queue: a crash in between sends the changes again, which does no harm.
      replica.answered(answers.flatMap(({ rows }) => rows ?? []));
      queue.settle(answers);
      onChange();
    }
    batch = BATCH_MAX;
  }

  /** A request that the backend can't take goes one by one, so that only the bad one is refused. */
  async function send(changes) {
    try {
      return (await call('POST', '/api/changes', { changes })).answers;
    } catch (error) {
      if (!(error instanceof HttpError) || ![400, 413].includes(error.status)) throw error;
      if (changes.length === 1) return [{ key: changes[0].key, error: 'INVALID' }];
      batch = 1;
      return [];
    }
  }

  async function pull() {
    const cursor = replica.cursor();
    const told = await call('GET', `/api/changes${cursor === null ? '' : `?since=${cursor}`}`);
    if (replica.polled(told)) onChange();
  }

  async function round() {
    if (!mayRun()) return;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    again = false;
    clearTimeout(timer);
    try {
      await push();
      await pull();
      failures = 0;
      setConnected(running);
      plan(pollMs);
    } catch (error) {
      failures += 1;
      setConnected(false);
      plan(delay(error));
    } finally {
      busy = false;
    }
    if (again && failures === 0) await round();
  }

  /** Full jitter, so that a thousand devices do not come back in the same second. */
  function delay(error) {
    if (error instanceof HttpError && error.retryAfterMs > 0) return error.retryAfterMs;
    const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures, 6));
    return Math.random() * most;
  }

  function plan(ms) {
    clearTimeout(timer);
    // A hidden page costs the backend nothing; it asks as soon as it is seen.
    if (mayRun() && !isHidden()) timer = setTimeout(round, ms);
  }

  function onSignal() {
    if (page.navigator.onLine === false) setConnected(false);
    else if (!isHidden()) round();
  }

  return {
    start() {
      if (running) return;
      running = true;
      page?.addEventListener('online', onSignal);
      page?.addEventListener('offline', onSignal);
      page?.document.addEventListener('visibilitychange', onSignal);
      round();
    },

    stop() {
      running = false;
      clearTimeout(timer);
      page?.removeEventListener('online', onSignal);
      page?.removeEventListener('offline', onSignal);
      page?.document.removeEventListener('visibilitychange', onSignal);
      setConnected(false);
    },

    /** Something is new: asks at once, unless the backend is known to be out of reach. */
    now() {
      if (busy || failures === 0) round();
    },

    connected: () => connected,
  };
}
