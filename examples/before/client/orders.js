/**
 * A user's drafts and pending orders, as the app sees them. Owns that face and what it is made of;
 * the rules are those of queue, replica and sync.
 */

import { createApi } from './api.js';
import { openQueue } from './queue.js';
import { openReplica } from './replica.js';
import { createSync } from './sync.js';

/** Makes it; `start()` begins to talk to the backend. */
export function createOrders({
  url,
  userId,
  getToken,
  storage = globalThis.localStorage,
  pollMs = 15_000,
  page = globalThis.window,
}) {
  const listeners = new Set();
  const queue = openQueue(storage, `orders-queue ${url} ${userId}`);
  const replica = openReplica(storage, `orders-replica ${url} ${userId}`);
  const call = createApi({ url, getToken });
  const sync = createSync({ call, queue, replica, pollMs, page, onChange });

  function onChange() {
    for (const listener of listeners) listener();
  }

  function write(change) {
    queue.add({ ...change, at: new Date().toISOString() });
    onChange();
    sync.now();
  }

  return {
    start: sync.start,
    stop: sync.stop,
    /** The user pulls the list down. */
    refresh: sync.now,
    drafts: () => replica.list('drafts', queue.waiting()),
    pending: () => replica.list('pending', queue.waiting()),

    create(data) {
      const id = crypto.randomUUID();
      write({ type: 'create', collection: 'drafts', id, data });
      return id;
    },

    update(id, patch) {
      write({ type: 'update', collection: 'drafts', id, patch });
    },

    remove(id) {
      write({ type: 'delete', collection: 'drafts', id });
    },

    convert(id) {
      const pendingId = crypto.randomUUID();
      write({ type: 'convert', collection: 'drafts', id, pendingId });
      return pendingId;
    },

    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    status: () => ({
      connected: sync.connected(),
      waiting: queue.waiting().length,
      refused: queue.refused().map(({ key, id, code }) => ({ key, id, code })),
    }),

    discard(key) {
      queue.discard(key);
      onChange();
    },
  };
}
