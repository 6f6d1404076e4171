/**
 * The records of one user: their keys, the order in which they are written, and what happens when
 * that fails. Owns the numbering of commands: a command gets its place and its `mutationId` in the
 * transaction that makes it durable, so both are dense and unique among the tabs of a browser.
 * Never decides what is written.
 */

import { type DocumentKey, type Entry, type ServerDocument, UNSAVED_ORDER } from './command.js';
import type { Position, RejectedRecord } from './delta.js';
import type { Host } from './host.js';
import type { Storage, StoredRecord } from './storage.js';

/** How this device numbers its commands. */
export interface Numbers {
  readonly clientId: string;
  /** The next `mutationId`. */
  readonly next: number;
  /** The next place in the queue. */
  readonly order: number;
}

/** Everything that is stored. */
export interface Stored {
  readonly numbers: Numbers;
  readonly position: Position | undefined;
  readonly documents: [DocumentKey, ServerDocument][];
  readonly queue: Entry[];
  readonly rejected: RejectedRecord[];
}

const META = 'meta';
const POSITION = 'position';
const QUEUE = 'queue/';
const REJECTED = 'rejected/';
/** How long a failed write waits for its next attempt. */
const RETRY_MS = 5_000;

/** Writes in the background: what piles up during one transaction goes into the next. */
export class Store {
  readonly #storage: Storage;
  readonly #space: string;
  readonly #host: Host;
  readonly #newClientId: () => string;
  #firstClientId: string | undefined;
  #appends: Entry[] = [];
  #dirty = new Map<string, unknown>();
  #running: Promise<void> | undefined;
  #retry: unknown;

  /** Called with entries that are durable now, and the numbers after them. */
  onSaved: (entries: Entry[], numbers: Numbers) => void = () => {};
  /** Called with entries that could not be stored. */
  onFailed: (entries: Entry[]) => void = () => {};

  constructor(
    storage: Storage,
    space: string,
    host: Host,
    newClientId: () => string,
    firstClientId: string | undefined,
  ) {
    this.#storage = storage;
    this.#space = space;
    this.#host = host;
    this.#newClientId = newClientId;
    this.#firstClientId = firstClientId;
  }

  get durable(): boolean {
    return this.#storage.durable;
  }

  /** Reads everything; makes the device's name where it has none yet. */
  async load(): Promise<Stored> {
    await this.flush();
    let numbers: Numbers | undefined;
    await this.#storage.update(this.#space, META, (found) => {
      numbers = this.#numbers(found);
      return [[META, numbers]];
    });
    return stored(await this.#storage.read(this.#space), numbers as Numbers);
  }

  /** Stores a command; `onSaved` or `onFailed` tells the end of it. */
  append(entry: Entry): void {
    this.#appends.push(entry);
    this.#start();
  }

  putDocument(key: DocumentKey, document: ServerDocument | null): void {
    this.#put(key, document ?? undefined);
  }

  putPosition(position: Position | undefined): void {
    this.#put(POSITION, position);
  }

  putEntry(entry: Entry): void {
    this.#put(queueKey(entry), entry);
  }

  removeEntry(entry: Entry): void {
    this.#put(queueKey(entry), undefined);
  }

  /** Without a record: removes it. */
  putRejected(key: string, record?: RejectedRecord): void {
    this.#put(REJECTED + key, record);
  }

  /**
   * Numbers every queued command anew from `from`, under a new device name if `anew`; what is stored
   * afterwards. Rejects where it can't be written: then nothing has changed.
   */
  async renumber(from: number, anew: boolean): Promise<Stored> {
    await this.flush();
    let result: Stored | undefined;
    const dirty = this.#dirty;
    this.#dirty = new Map();
    const write = this.#storage.update(this.#space, '', (found) => {
      const all = new Map([...found, ...dirty]);
      const old = this.#numbers(found);
      const clientId = anew ? this.#newClientId() : old.clientId;
      const before = stored([...all], old);
      const queue = before.queue.map((entry, index) => ({
        ...entry,
        clientId,
        mutationId: from + index,
      }));
      const numbers = { clientId, next: from + queue.length, order: old.order };
      result = { ...before, queue, numbers };
      const entries = queue.map((entry): StoredRecord => [queueKey(entry), entry]);
      return [...dirty, [META, numbers], ...entries];
    });
    try {
      await write;
    } catch (error) {
      this.#dirty = new Map([...dirty, ...this.#dirty]);
      throw error;
    }
    return result as Stored;
  }

  /** Resolves when all that was handed over is written, or has failed. */
  async flush(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Removes all records of this user. */
  async erase(): Promise<void> {
    this.close();
    await this.flush();
    this.#dirty.clear();
    await this.#storage.erase(this.#space);
  }

  /** Ends the attempts to write what has failed. */
  close(): void {
    this.#host.clearTimeout(this.#retry);
    this.#retry = undefined;
  }

  #put(key: string, value: unknown): void {
    this.#dirty.set(key, value);
    this.#start();
  }

  #start(): void {
    this.#running ??= Promise.resolve()
      .then(() => this.#work())
      .finally(() => {
        this.#running = undefined;
      });
  }

  async #work(): Promise<void> {
    while (this.#appends.length > 0 || (this.#dirty.size > 0 && this.#retry === undefined)) {
      const appends = this.#appends.splice(0);
      const dirty = this.#dirty;
      this.#dirty = new Map();
      try {
        await this.#write(appends, dirty);
      } catch {
        // State and answers can be had again; commands can't. They are tried once more alone.
        this.#dirty = new Map([...dirty, ...this.#dirty]);
        this.#retry ??= this.#host.setTimeout(() => {
          this.#retry = undefined;
          if (this.#dirty.size > 0) this.#start();
        }, RETRY_MS);
        if (appends.length === 0) continue;
        await this.#write(appends, new Map()).catch(() => this.onFailed(appends));
      }
    }
  }

  async #write(appends: Entry[], dirty: Map<string, unknown>): Promise<void> {
    let saved: Entry[] = [];
    let after: Numbers | undefined;
    await this.#storage.update(this.#space, META, (found) => {
      const numbers = this.#numbers(found);
      const { clientId, next, order } = numbers;
      saved = appends.map((entry, index) => ({
        ...entry,
        clientId,
        order: order + index,
        mutationId: next + index,
      }));
      after = { clientId, next: next + saved.length, order: order + saved.length };
      const entries = saved.map((entry): StoredRecord => [queueKey(entry), entry]);
      return [...dirty, [META, after], ...entries];
    });
    if (after && saved.length > 0) this.onSaved(saved, after);
  }

  #numbers(found: readonly StoredRecord[]): Numbers {
    const old = found.find(([key]) => key === META)?.[1] as Numbers | undefined;
    if (old) return old;
    this.#firstClientId ??= this.#newClientId();
    return { clientId: this.#firstClientId, next: 1, order: 1 };
  }
}

function queueKey({ order }: Entry): string {
  return QUEUE + String(order).padStart(String(UNSAVED_ORDER).length, '0');
}

function stored(records: readonly StoredRecord[], numbers: Numbers): Stored {
  const under = (prefix: string) =>
    records.filter(([key, value]) => key.startsWith(prefix) && value !== undefined);
  const inOrder = <T extends { order: number }>(prefix: string) =>
    under(prefix)
      .map(([, value]) => value as T)
      .sort((a, b) => a.order - b.order);
  return {
    numbers,
    position: under(POSITION)[0]?.[1] as Position | undefined,
    documents: [...under('drafts/'), ...under('pending/')] as [DocumentKey, ServerDocument][],
    queue: inOrder<Entry>(QUEUE),
    rejected: inOrder<RejectedRecord>(REJECTED),
  };
}
