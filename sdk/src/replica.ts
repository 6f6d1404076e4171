/**
 * What this device shows: the server's documents, and the queue's commands layered over them.
 * Owns the order in which layers are replayed and the cache of the result. Knows no storage, no
 * socket and no other tab; it is told what has changed.
 */

import type { Document } from './api.js';
import {
  type CollectionName,
  type DocumentKey,
  type Entry,
  effect,
  keysOf,
  type ServerDocument,
} from './command.js';

interface Shown {
  readonly document: Document;
  /** The place of the command that created it here; 0 where the server has created it. */
  readonly born: number;
}

/** Server state, layers, and what comes of them. */
export class Replica {
  readonly server = new Map<DocumentKey, ServerDocument>();
  readonly #layers = new Map<DocumentKey, Entry[]>();
  readonly #shown = new Map<DocumentKey, Shown>();
  readonly #lists = new Map<CollectionName, readonly Document[]>();

  get(key: DocumentKey): Document | undefined {
    return this.#shown.get(key)?.document;
  }

  /** By `createdAt`, then id; what the server has not seen yet comes last. */
  list(name: CollectionName): readonly Document[] {
    let list = this.#lists.get(name);
    if (!list) {
      const found: Shown[] = [];
      for (const [key, shown] of this.#shown) if (key.startsWith(`${name}/`)) found.push(shown);
      list = found.sort(inOrder).map(({ document }) => document);
      this.#lists.set(name, list);
    }
    return list;
  }

  /** Every document that is shown, or might have to be. */
  keys(): Set<DocumentKey> {
    return new Set([...this.server.keys(), ...this.#layers.keys(), ...this.#shown.keys()]);
  }

  /** Adds to `touched` the documents it lies over. */
  addLayer(entry: Entry, touched: Set<DocumentKey>): void {
    for (const key of keysOf(entry.command)) {
      touched.add(key);
      const layers = this.#layers.get(key) ?? [];
      layers.push(entry);
      this.#layers.set(key, layers.sort(byOrder));
    }
  }

  /** Adds to `touched` the documents it lay over. */
  removeLayer(entry: Entry, touched: Set<DocumentKey>): void {
    for (const key of keysOf(entry.command)) {
      touched.add(key);
      const left = this.#layers.get(key)?.filter((layer) => layer.key !== entry.key) ?? [];
      if (left.length) this.#layers.set(key, left);
      else this.#layers.delete(key);
    }
  }

  /**
   * Replays the layers of these documents, and of those that conversions tie to them; the keys of
   * those that look different now.
   */
  refresh(keys: Iterable<DocumentKey>): Set<DocumentKey> {
    const group = new Set(keys);
    const entries = new Set<Entry>();
    // A set also visits what is added to it on the way.
    for (const key of group) {
      for (const entry of this.#layers.get(key) ?? []) {
        entries.add(entry);
        for (const tied of keysOf(entry.command)) group.add(tied);
      }
    }
    const state = new Map<DocumentKey, ServerDocument | undefined>();
    const born = new Map<DocumentKey, number>();
    for (const key of group) state.set(key, this.server.get(key));
    for (const entry of [...entries].sort(byOrder)) {
      const after = keysOf(entry.command).map(
        (key) => [key, effect(entry, key, (asked) => state.get(asked))] as const,
      );
      for (const [key, document] of after) {
        if (document && !state.get(key)) born.set(key, entry.order);
        state.set(key, document);
      }
    }
    const changed = new Set<DocumentKey>();
    for (const [key, document] of state) {
      if (this.#show(key, document, born.get(key) ?? 0)) changed.add(key);
    }
    return changed;
  }

  #show(key: DocumentKey, state: ServerDocument | undefined, born: number): boolean {
    const before = this.#shown.get(key);
    if (!before && !state) return false;
    const forgetList = () => this.#lists.delete(key.startsWith('drafts/') ? 'drafts' : 'pending');
    if (!state) {
      forgetList();
      return this.#shown.delete(key);
    }
    const synced = !this.#layers.has(key);
    const old = before?.document;
    const unchanged = old && old.synced === synced && same(old, state);
    if (unchanged && before?.born === born) return false;
    forgetList();
    const document = unchanged ? old : ({ ...state, synced } as Document);
    this.#shown.set(key, { document, born });
    return true;
  }
}

function byOrder(a: Entry, b: Entry): number {
  return a.order - b.order;
}

function same(a: Document, b: ServerDocument): boolean {
  return (
    a.version === b.version &&
    a.updatedAt === b.updatedAt &&
    a.createdAt === b.createdAt &&
    (a.data === b.data || JSON.stringify(a.data) === JSON.stringify(b.data))
  );
}

function inOrder(a: Shown, b: Shown): number {
  if (a.born || b.born) return a.born - b.born;
  const left = a.document.createdAt + a.document.id;
  const right = b.document.createdAt + b.document.id;
  return left < right ? -1 : 1;
}
