/** A clock that stands still until a test moves it, with timers, randomness and browser signals. */

import type { Host } from '../src/host.js';
// Here already, since this clock does not wait until the part for HTTP is loaded.
import '../src/polling.js';

export class FakeHost implements Host {
  readonly locks = null;
  readonly BroadcastChannel = null;
  /** Difference between the wall clock and the time that passes. */
  skewMs = 0;
  #seed = 1;
  /** What `random` answers: the same numbers in each run. */
  nextRandom = () => {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) >>> 0;
    return this.#seed / 2 ** 32;
  };
  #time = 1_700_000_000_000;
  #timers = new Map<number, { at: number; run: () => void }>();
  #last = 0;
  #wakers = new Set<() => void>();
  /** Every wait that was asked for. */
  readonly waits: number[] = [];

  now = () => this.#time + this.skewMs;
  monotonic = () => this.#time;
  random = () => this.nextRandom();
  setTimeout = (run: () => void, ms: number) => {
    this.waits.push(ms);
    this.#timers.set(++this.#last, { at: this.#time + ms, run });
    return this.#last;
  };
  clearTimeout = (timer: unknown) => void this.#timers.delete(timer as number);
  wakeUps = (listener: () => void) => {
    this.#wakers.add(listener);
    return () => void this.#wakers.delete(listener);
  };

  wake(): void {
    for (const waker of [...this.#wakers]) waker();
  }

  /** Lets so much time pass, timer by timer. */
  async pass(ms: number): Promise<void> {
    const end = this.#time + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end);
      const [first] = due.sort(([a, x], [b, y]) => x.at - y.at || a - b);
      if (!first) break;
      this.#timers.delete(first[0]);
      this.#time = Math.max(this.#time, first[1].at);
      first[1].run();
      await settle();
    }
    this.#time = end;
  }
}

/** Lets all promises run that can. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 3; round += 1) await new Promise((done) => setImmediate(done));
}
