/**
 * Storage in IndexedDB: one database a space, one object store in it. Owns its opening and the
 * mapping of an update to one transaction. A transaction is atomic and orders all tabs; it is asked
 * for strict durability, so that browsers that offer it also survive a power cut.
 */

import type { Storage, StoredRecord } from './storage.js';

const STORE = 'records';

/** Keeps everything in IndexedDB, shared by all tabs of an origin. */
export function indexedDBStorage(factory: IDBFactory = indexedDB): Storage {
  const open = new Map<string, Promise<IDBDatabase>>();

  const database = (space: string): Promise<IDBDatabase> => {
    const known = open.get(space);
    if (known) return known;
    const request = factory.open(name(space), 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    const opening = answer(request).then((opened) => {
      opened.onclose = () => open.delete(space);
      // Another tab removes it.
      opened.onversionchange = () => {
        open.delete(space);
        opened.close();
      };
      return opened;
    });
    open.set(space, opening);
    opening.catch(() => open.delete(space));
    return opening;
  };

  const transact = async <T>(
    space: string,
    mode: IDBTransactionMode,
    work: (store: IDBObjectStore, done: (value: T) => void) => void,
  ): Promise<T> => {
    const opened = await database(space);
    return new Promise<T>((resolve, reject) => {
      const transaction = opened.transaction(STORE, mode, { durability: 'strict' });
      let result: T;
      transaction.oncomplete = () => resolve(result);
      transaction.onabort = () => reject(transaction.error);
      work(transaction.objectStore(STORE), (value) => {
        result = value;
      });
    });
  };

  return {
    durable: true,
    shared: true,
    read: (space) => transact(space, 'readonly', (store, done) => collect(store, '', done)),
    update: (space, prefix, change) =>
      transact<void>(space, 'readwrite', (store) =>
        collect(store, prefix, (found) => {
          for (const [key, value] of change(found)) {
            if (value === undefined) store.delete(key);
            else store.put(value, key);
          }
        }),
      ),
    async erase(space) {
      (await open.get(space)?.catch(() => undefined))?.close();
      open.delete(space);
      await answer(factory.deleteDatabase(name(space)));
    },
  };
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function name(space: string): string {
  return `draftwire ${space}`;
}

function collect(
  store: IDBObjectStore,
  prefix: string,
  done: (records: StoredRecord[]) => void,
): void {
  const range = prefix === '' ? null : IDBKeyRange.bound(prefix, `${prefix}\uffff`);
  const keys = store.getAllKeys(range);
  const values = store.getAll(range);
  values.onsuccess = () =>
    done(keys.result.map((key, index): StoredRecord => [String(key), values.result[index]]));
}
