/**
 * Takes pending orders in. Owns that step of the business; reads and writes the store directly.
 */

import { randomUUID } from 'node:crypto';

/** Marks a user's new pending orders as received; how many there were. */
export async function takeOrders(store, userId) {
  const fresh = store.list(userId, 'pending').filter(({ data }) => !data.phase);
  for (const { collection, id } of fresh) {
    const patch = { phase: 'received' };
    store.apply(userId, { key: randomUUID(), type: 'update', collection, id, patch });
  }
  return fresh.length;
}
