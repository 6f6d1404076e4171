/** The contract of a storage, kept by all three; and what the file survives. */

import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IDBFactory, IDBKeyRange } from 'fake-indexeddb';
import { afterAll, describe, expect, it } from 'vitest';
import { createClient, indexedDBStorage, memoryStorage, type Storage } from '../../src/index.js';
import { fileStorage } from '../../src/node.js';
import { createTestServer } from '../../src/testing.js';

globalThis.IDBKeyRange = IDBKeyRange;
const folder = mkdtempSync(join(tmpdir(), 'draftwire-storage-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const opened: { close(): Promise<void> }[] = [];
afterAll(() => Promise.all(opened.map((storage) => storage.close())));
const openFile = (file: string) => {
  const storage = fileStorage(file);
  opened.push(storage);
  return storage;
};
let files = 0;
const path = () => join(folder, `${++files}`, 'state.journal');

describe.each([
  ['memory', () => memoryStorage()],
  ['IndexedDB', () => indexedDBStorage(new IDBFactory())],
  ['a file', () => openFile(path())],
] as const)('%s', (_, make) => {
  it('keeps records in order, by space', async () => {
    const storage: Storage = make();
    await storage.update('one', '', () => [
      ['b', { n: 1 }],
      ['a', [1, null]],
      ['c', 'x'],
    ]);
    await storage.update('two', '', () => [['a', 2]]);
    await storage.update('one', '', () => [['c', undefined]]);
    expect(await storage.read('one')).toEqual([
      ['a', [1, null]],
      ['b', { n: 1 }],
    ]);
    expect(await storage.read('two')).toEqual([['a', 2]]);
    await storage.erase('one');
    expect(await storage.read('one')).toEqual([]);
    expect(await storage.read('two')).toEqual([['a', 2]]);
  });

  it('lets no update come between the reading and the writing of another', async () => {
    const storage: Storage = make();
    const add = () =>
      storage.update('s', 'count', (found) => [['count', Number(found[0]?.[1] ?? 0) + 1]]);
    await Promise.all(Array.from({ length: 50 }, add));
    expect(await storage.read('s')).toEqual([['count', 50]]);
  });

  it('hands over only what begins with the prefix', async () => {
    const storage: Storage = make();
    await storage.update('s', '', () => [
      ['queue/1', 1],
      ['queue/2', 2],
      ['meta', 3],
    ]);
    let seen: unknown;
    await storage.update('s', 'queue/', (found) => {
      seen = found;
      return [];
    });
    expect(seen).toEqual([
      ['queue/1', 1],
      ['queue/2', 2],
    ]);
  });
});

describe('a file', () => {
  it('is read again, without the half line that a crash has left', async () => {
    const file = path();
    const first = fileStorage(file);
    await first.update('s', '', () => [['a', 1]]);
    await first.close();
    appendFileSync(file, '["s",[["a",2');
    const second = fileStorage(file);
    expect(await second.read('s')).toEqual([['a', 1]]);
    await second.update('s', '', () => [['b', 3]]);
    await second.close();
    const third = fileStorage(file);
    expect(await third.read('s')).toEqual([
      ['a', 1],
      ['b', 3],
    ]);
    await third.close();
  });

  it('does not grow without end', async () => {
    const file = path();
    const storage = fileStorage(file);
    for (let n = 0; n < 1_500; n += 1) await storage.update('s', '', () => [['a', n]]);
    expect(readFileSync(file, 'utf8').split('\n').length).toBeLessThan(1_100);
    await storage.close();
    const again = fileStorage(file);
    expect(await again.read('s')).toEqual([['a', 1_499]]);
    await again.close();
  });

  it('belongs to one process; one that is gone does not keep it', async () => {
    const file = path();
    const storage = fileStorage(file);
    await storage.read('s');
    await storage.close();
    writeFileSync(`${file}.lock`, String(process.ppid));
    await expect(fileStorage(file).read('s')).rejects.toThrow('uses this storage');
    writeFileSync(`${file}.lock`, '999999999');
    expect(await openFile(file).read('s')).toEqual([]);
  });

  it('keeps state and queue of a client for the next one', async () => {
    const server = createTestServer();
    const file = path();
    const open = () => {
      const storage = fileStorage(file);
      return {
        storage,
        client: createClient({ ...server.options('ann'), userId: 'ann', storage }),
      };
    };
    const one = open();
    one.client.connect();
    await one.client.ready();
    await one.client.drafts.create({ n: 1 }, { id: 'a' }).settled;
    await one.client.disconnect();
    await one.client.drafts.update('a', { n: 2 }).saved;
    await one.storage.close();
    const two = open();
    await new Promise((done) => two.client.drafts.subscribe('a', () => done(0)));
    expect(two.client.drafts.get('a')).toMatchObject({ data: { n: 2 }, synced: false });
    expect(two.client.queue.get()).toEqual({ length: 1, durable: true, leader: false });
    two.client.connect();
    await two.client.ready();
    while (two.client.queue.get().length > 0) await new Promise((done) => setTimeout(done, 5));
    expect(server.documents('ann', 'drafts')).toMatchObject([{ data: { n: 2 }, version: 2 }]);
    await two.client.disconnect();
    await two.storage.close();
  });
});
