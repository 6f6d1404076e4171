/** Listeners, and values that tell when they change. Owns no state of the client. */

import type { Observable } from './api.js';

/** A set of listeners. One that throws does not keep the others from being called. */
export class Listeners<A extends unknown[] = []> {
  readonly #all = new Set<{ call: (...args: A) => void }>();

  add(call: (...args: A) => void): () => void {
    const entry = { call };
    this.#all.add(entry);
    return () => void this.#all.delete(entry);
  }

  get size(): number {
    return this.#all.size;
  }

  notify(...args: A): void {
    for (const { call } of [...this.#all]) {
      try {
        call(...args);
      } catch (error) {
        // An application's fault is shown as its own, and never stops the client.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** A value; `set` tells the listeners where it is another one. */
export class Cell<T> implements Observable<T> {
  readonly #listeners = new Listeners();
  #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  get = (): T => this.#value;

  subscribe = (listener: () => void): (() => void) => this.#listeners.add(listener);

  /** True where it is another value. */
  set(value: T): boolean {
    if (Object.is(value, this.#value)) return false;
    this.#value = value;
    this.#listeners.notify();
    return true;
  }
}
