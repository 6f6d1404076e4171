/**
 * The tabs of one browser that show the same user: who leads, and what they tell each other. Owns
 * the Web Lock and the BroadcastChannel; knows the messages' envelope and nothing of their meaning
 * for documents. The lock is the browser's: it is free as soon as its tab is gone, however it went.
 */

import type { ConnectionState, JsonObject } from './api.js';
import type { Delta } from './delta.js';
import type { Host } from './host.js';

/** What tabs tell each other. */
export type Message =
  /** A tab that is new, or has missed something, asks the leader for everything. */
  | { readonly kind: 'hello' }
  /** The leader tells everything. `revision` is that of the last change in it. */
  | {
      readonly kind: 'whole';
      readonly to: string | undefined;
      readonly revision: number;
      readonly delta: Delta;
      readonly connection: ConnectionState;
    }
  /** A change. The leader's are counted without gaps; others have no revision. */
  | { readonly kind: 'delta'; readonly revision: number | undefined; readonly delta: Delta }
  | { readonly kind: 'connection'; readonly connection: ConnectionState }
  | { readonly kind: 'published'; readonly type: string; readonly payload: JsonObject };

/** This tab among the others. */
export class Tabs {
  readonly #host: Host;
  readonly #name: string;
  readonly #id: string;
  readonly #channel: BroadcastChannel | undefined;

  /** Without `Channel` the tab is alone, and leads as soon as it asks. */
  constructor(
    host: Host,
    name: string,
    id: string,
    Channel: typeof BroadcastChannel | null,
    onMessage: (message: Message, from: string) => void,
  ) {
    this.#host = host;
    this.#name = `draftwire ${name}`;
    this.#id = id;
    if (!Channel) return;
    this.#channel = new Channel(this.#name);
    this.#channel.onmessage = ({ data }) => onMessage(data.message, data.from);
  }

  /** Tells all other tabs. */
  post(message: Message): void {
    this.#channel?.postMessage({ from: this.#id, message });
  }

  /** Resolves when this tab leads, with how to stop that; undefined where `signal` came first. */
  async lead(signal: AbortSignal): Promise<(() => void) | undefined> {
    const { locks } = this.#host;
    if (!this.#channel || !locks) return () => {};
    return new Promise((resolve) => {
      locks
        .request(this.#name, { signal }, () => new Promise<void>(resolve))
        .catch(() => resolve(undefined));
    });
  }

  close(): void {
    this.#channel?.close();
  }
}
