/**
 * A user's drafts and pending orders, as the app sees them: the same face as before, on
 * `@draftwire/client`. Owns that face and nothing behind it.
 */

import { createClient } from '@draftwire/client';

/** Makes it from the options of `createClient`; `start()` begins to talk to the server. */
export function createOrders(options) {
  const client = createClient(options);
  const { drafts, pending, connection, queue, rejected } = client;
  return {
    start: () => client.connect(),
    stop: () => client.disconnect(),
    drafts: () => drafts.list(),
    pending: () => pending.list(),
    create: (data) => drafts.create(data).id,
    update: (id, patch) => void drafts.update(id, patch),
    remove: (id) => void drafts.delete(id),
    convert: (id) => drafts.convert(id).id,

    subscribe: client.subscribe,
    status: () => ({
      connected: connection.get().status === 'connected',
      waiting: queue.get().length,
      refused: rejected.get().map(({ key, id, code }) => ({ key, id, code })),
    }),

    discard: (key) => rejected.discard(key),
  };
}
