/**
 * One device: its client, its network, what it hears from the warehouse. Owns the wiring; what is
 * shown is the components' business. Two devices of one page share nothing but the user.
 */

import { type Change, type Client, createClient, memoryStorage } from '@draftwire/client';
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { Network } from './network';
import type { Order } from './order';
import { Progress } from './progress';

/** What a device may be. */
export type Kind = 'phone' | 'tablet';

/** The two name spaces of documents. */
export type CollectionName = 'drafts' | 'pending';

/** An edit that was made on this device, just now. */
export interface Edit {
  readonly collection: CollectionName;
  readonly change: Change;
  /** `performance.now()` before it was made. */
  readonly at: number;
}

/** How long after an edit a change on screen counts as this device's own. */
const OWN_MS = 150;

export class Device {
  readonly kind: Kind;
  /** True where it is the only device of its page. */
  readonly alone: boolean;
  readonly network = new Network();
  readonly client: Client<Order>;
  readonly progress: Progress;
  readonly #onEdit = new Set<(edit: Edit) => void>();
  #editedAt = Number.NEGATIVE_INFINITY;

  constructor(kind: Kind, user: string, alone: boolean) {
    this.kind = kind;
    this.alone = alone;
    const getToken = async (signal?: AbortSignal) => {
      const path = `/demo/token?user=${encodeURIComponent(user)}`;
      const answer = await this.network.fetch(path, { signal: signal ?? null });
      if (!answer.ok) throw new Error(await answer.text());
      return answer.text();
    };
    this.client = createClient<Order>({
      url: location.origin,
      getToken,
      userId: user,
      WebSocket: this.network.WebSocket,
      fetch: this.network.fetch,
      host: { wakeUps: this.network.wakeUps },
      // Alone it keeps its state across reloads, as an app would; two must not become tabs of one.
      ...(!alone && { storage: memoryStorage() }),
    });
    this.progress = new Progress(this.network, () => getToken());
  }

  connect(): void {
    this.client.connect();
    this.progress.connect();
  }

  /** Makes an edit, and tells those who measure. */
  edit(collection: CollectionName, make: (client: Client<Order>) => Change): Change {
    const at = performance.now();
    this.#editedAt = at;
    const change = make(this.client);
    for (const listener of this.#onEdit) listener({ collection, change, at });
    return change;
  }

  onEdit(listener: (edit: Edit) => void): void {
    this.#onEdit.add(listener);
  }

  /** True right after an edit on this device: what moves on screen then was moved here. */
  hasJustEdited(): boolean {
    return performance.now() - this.#editedAt < OWN_MS;
  }
}

export const DeviceContext = createContext<Device | undefined>(undefined);

/** The device that a component is shown on. */
export function useDevice(): Device {
  const device = useContext(DeviceContext);
  if (!device) throw new Error('there is no device around this component');
  return device;
}
