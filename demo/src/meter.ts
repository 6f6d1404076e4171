/**
 * Measures how long an edit takes from one device to the other: both live in this page, so one
 * clock sees both ends. Counts only edits that were made and arrived while both were connected.
 */

import type { CollectionName, Device, Edit } from './device';

/** Milliseconds of the last edit, and the median of the last 50. */
export interface Reading {
  readonly last: number | undefined;
  readonly median: number | undefined;
  readonly count: number;
}

const READINGS_MAX = 50;
/** Edits under way, and arrivals not yet asked for. */
const OPEN_MAX = 200;

export class Meter {
  readonly #devices: readonly [Device, Device];
  readonly #listeners = new Set<() => void>();
  /** When the other device had a version; by device, collection, document and version. */
  readonly #arrivals = new Map<string, number>();
  /** When an edit was made whose version has not arrived yet. */
  readonly #awaited = new Map<string, number>();
  readonly #last: number[] = [];
  #count = 0;
  #reading: Reading = { last: undefined, median: undefined, count: 0 };

  constructor(devices: readonly [Device, Device]) {
    this.#devices = devices;
    const [first, second] = devices;
    for (const [here, there] of [devices, [second, first]] as const) {
      here.onEdit((edit) => this.#edited(there, edit));
      for (const name of ['drafts', 'pending'] as const) {
        here.client[name].subscribe(() => this.#arrived(here, name));
      }
    }
  }

  readonly get = (): Reading => this.#reading;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #bothConnected(): boolean {
    return this.#devices.every(({ client }) => client.connection.get().status === 'connected');
  }

  #edited(there: Device, { collection, change, at }: Edit): void {
    if (!this.#bothConnected()) return;
    void change.settled.then((outcome) => {
      if (outcome.status !== 'accepted' || outcome.version === undefined) return;
      const key = `${there.kind}/${collection}/${outcome.id}/${outcome.version}`;
      const arrived = this.#arrivals.get(key);
      if (arrived !== undefined) this.#note(arrived - at);
      else if (this.#bothConnected()) keep(this.#awaited, key, at);
    });
  }

  #arrived(device: Device, collection: CollectionName): void {
    const now = performance.now();
    for (const { id, version, synced } of device.client[collection].list()) {
      const key = `${device.kind}/${collection}/${id}/${version}`;
      if (!synced || this.#arrivals.has(key)) continue;
      keep(this.#arrivals, key, now);
      const edited = this.#awaited.get(key);
      if (edited === undefined) continue;
      this.#awaited.delete(key);
      if (this.#bothConnected()) this.#note(now - edited);
    }
  }

  #note(ms: number): void {
    this.#last.push(ms);
    if (this.#last.length > READINGS_MAX) this.#last.shift();
    this.#count += 1;
    const sorted = [...this.#last].sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)];
    this.#reading = { last: ms, median, count: this.#count };
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Keeps the newest. */
function keep(map: Map<string, number>, key: string, value: number): void {
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > OPEN_MAX && oldest !== undefined) map.delete(oldest);
}
