/**
 * The first step of the move: the old app still polls, but draftwire tells it when. Owns the bell
 * on both sides; carries no documents, so that a lost ring costs no more than the wait for a poll.
 */

import { createClient, memoryStorage } from '@draftwire/client';

/** In the backend: `store`, which rings after each change. */
export function withBell(store, { url, getToken }) {
  async function ring(userId) {
    await fetch(`${url}/api/users/${encodeURIComponent(userId)}/events`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${await getToken()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ type: 'ORDERS_CHANGED' }),
    });
  }
  return {
    ...store,
    apply(userId, change) {
      const answer = store.apply(userId, change);
      ring(userId).catch(() => {});
      return answer;
    },
  };
}

/** In the app: calls `refresh` at each ring; the result ends that. */
export function hearBell(options, refresh) {
  const client = createClient({ storage: memoryStorage(), ...options });
  client.on('ORDERS_CHANGED', refresh);
  client.connect();
  return () => client.disconnect();
}
