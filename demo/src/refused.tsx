/** What the server has refused for good: said once, with what can be done about it. */

import type { Client, RejectedChange } from '@draftwire/client';
import { useClient, useRejected } from '@draftwire/client/react';
import { count } from './order';

function reason({ code, collection, type, id }: RejectedChange, client: Client): string {
  const what = collection === 'drafts' ? 'draft' : 'order';
  if (code === 'NOT_FOUND') {
    const placed = collection === 'drafts' && client.pending.get(id);
    return `the ${what} was ${placed ? 'placed' : 'deleted'} on another device meanwhile`;
  }
  if (code === 'ALREADY_EXISTS') return 'it was placed on another device before';
  if (code === 'QUOTA') return 'this demo keeps no more orders';
  return `${type}: ${code}`;
}

export function Refused() {
  const client = useClient();
  const { rejected } = client;
  const changes = useRejected();
  const [first] = changes;
  if (!first) return null;
  const each = (act: (key: string) => void) => () => {
    for (const { key } of changes) act(key);
  };
  return (
    <p class="notice refused" role="alert">
      <span>
        {count(changes.length, 'change')} of this device {changes.length === 1 ? 'was' : 'were'} not
        taken: {reason(first, client)}.
      </span>
      {first.code !== 'NOT_FOUND' && (
        <button type="button" class="quiet" onClick={each((key) => rejected.retry(key))}>
          Try again
        </button>
      )}
      <button type="button" class="quiet" onClick={each((key) => rejected.discard(key))}>
        Dismiss
      </button>
    </p>
  );
}
