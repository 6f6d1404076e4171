/**
 * The contract of a storage: small records by key, changed atomically. Owns the interface and the
 * one in memory; what the records mean is the store's business.
 */

/** A record: its key, and a JSON value (`undefined` removes it). */
export type StoredRecord = readonly [key: string, value: unknown];

/**
 * Where a client keeps state and queue. A *space* holds the records of one user on one server.
 *
 * - `update` is atomic: all of its records or none, also through a crash, and no other update of
 *   the space comes between its reading and its writing (in a browser: of no tab).
 * - `update` resolves when its records survive the end of the process; what a power cut leaves is
 *   said by each adapter.
 * - Both reject on failure, and a failed `update` has changed nothing.
 */
export interface Storage {
  /** Every record of a space, in the order of the keys (UTF-16 code units). */
  read(space: string): Promise<StoredRecord[]>;
  /**
   * Hands the records whose key begins with `prefix` to `change` and writes what it returns.
   * `change` is called once, must not throw, and must not wait.
   */
  update(
    space: string,
    prefix: string,
    change: (found: StoredRecord[]) => readonly StoredRecord[],
  ): Promise<void>;
  /** Removes a space. */
  erase(space: string): Promise<void>;
  /** False where nothing survives the end of the process. */
  readonly durable: boolean;
  /** True where other tabs of the browser see the same spaces. */
  readonly shared: boolean;
}

/** The records whose key begins with `prefix`, in order. */
export function recordsUnder(
  records: ReadonlyMap<string, unknown> | undefined,
  prefix: string,
): StoredRecord[] {
  const found = [...(records ?? [])].filter(([key]) => key.startsWith(prefix));
  return found.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Keeps everything in memory: for tests, and where there is no other storage. */
export function memoryStorage(): Storage {
  const spaces = new Map<string, Map<string, unknown>>();
  return {
    durable: false,
    shared: false,
    read: async (space) => structuredClone(recordsUnder(spaces.get(space), '')),
    async update(space, prefix, change) {
      const records = spaces.get(space) ?? new Map<string, unknown>();
      const changed = structuredClone(change(recordsUnder(records, prefix)));
      spaces.set(space, records);
      for (const [key, value] of changed) {
        if (value === undefined) records.delete(key);
        else records.set(key, value);
      }
    },
    erase: async (space) => void spaces.delete(space),
  };
}
