/**
 * Interleavings found by fast-check: two devices and a backend edit the same documents while frames
 * are delivered one by one, connections break, answers get lost and devices are reloaded. Guards:
 * no edit is lost or applied twice, none is out of order, what was shown never goes back, and all
 * devices end with the server's state.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Change, type Client, createClient, memoryStorage } from '../../src/index.js';
import { createTestServer, type TestServer } from '../../src/testing.js';
import { FakeHost, settle } from '../host.js';

const IDS = ['a', 'b'];
const id = fc.constantFrom(...IDS);
const who = fc.constantFrom(0, 1);
const edits = [
  { weight: 3, arbitrary: fc.record({ do: fc.constant('update' as const), who, id }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      index: fc.nat(3),
      way: fc.constantFrom('up' as const, 'down' as const),
      count: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('backend' as const),
      id,
      kind: fc.constant('DRAFT_UPDATE'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom<'drop' | 'twice' | 'busy'>('drop', 'twice', 'busy'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('lose' as const),
      what: fc.constantFrom('command' as const, 'answer' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reload' as const), who }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.constantFrom(0, 100, 1_000, 30_000),
    }),
  },
];
const all = [
  ...edits,
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('create' as const, 'delete' as const, 'convert' as const),
      who,
      id,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('backend' as const),
      id,
      kind: fc.constantFrom('DRAFT_CREATE', 'DRAFT_DELETE'),
    }),
  },
];

class Device {
  readonly #server: TestServer;
  readonly #host: FakeHost;
  readonly #storage = memoryStorage();
  client: Client;
  written = 0;
  readonly changes: Change[] = [];
  /** What each document has shown: the last number of this device's own, and the version. */
  readonly #shown = new Map<string, number>();
  readonly flickers: string[] = [];
  readonly name: string;

  constructor(server: TestServer, host: FakeHost, name: string) {
    this.#server = server;
    this.#host = host;
    this.name = name;
    this.client = this.#open();
  }

  #open(): Client {
    const client = createClient({
      ...this.#server.options('ann'),
      userId: 'ann',
      clientId: this.name,
      storage: this.#storage,
      host: this.#host,
    });
    client.drafts.subscribe(() => this.#look(client));
    client.connect();
    return client;
  }

  /**
   * A device's own member of a document only counts up, and so does its version: an older one is a
   * flicker.
   */
  #look(client: Client): void {
    if (client !== this.client) return;
    for (const document of IDS) {
      const { data, version = 0 } = client.drafts.get(document) ?? {};
      for (const [what, value] of [
        [`${document}'s edit`, Number(data?.[this.name] ?? 0)],
        [`${document}'s version`, version],
      ] as const) {
        const before = this.#shown.get(what) ?? 0;
        if (data && value < before) this.flickers.push(`${what}: ${before}, then ${value}`);
        this.#shown.set(what, data ? value : 0);
      }
    }
  }

  async reload(): Promise<void> {
    await Promise.all(this.changes.map(({ saved }) => saved));
    await this.client.disconnect();
    this.client = this.#open();
    await settle();
  }

  write(kind: 'create' | 'update' | 'delete' | 'convert', document: string): void {
    const { drafts } = this.client;
    this.written += 1;
    const mark = { [this.name]: this.written };
    if (kind === 'create') this.changes.push(drafts.create({}, { id: document }));
    else if (kind === 'update') this.changes.push(drafts.update(document, mark));
    else if (kind === 'delete') this.changes.push(drafts.delete(document));
    else this.changes.push(drafts.convert(document, { pendingId: `${document}-placed` }));
  }
}

it.each([
  ['edits of documents that stay', edits, true],
  ['everything', all, false],
] as const)('keeps %s, once, in order', { timeout: 60_000 }, async (_, weighted, only) => {
  const step = fc.oneof(...weighted);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer(), async (steps, seed) => {
      const host = new FakeHost();
      let random = seed;
      host.nextRandom = () => {
        random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
        return random / 2 ** 32;
      };
      const server = createTestServer({ manual: true, now: host.now, limits: { inFlight: 4 } });
      if (only) for (const one of IDS) server.command('ann', 'DRAFT_CREATE', { id: one, data: {} });
      const devices = [new Device(server, host, 'one'), new Device(server, host, 'two')];
      await settle();
      for (const todo of steps) {
        if (todo.do === 'deliver') {
          for (let count = 0; count < todo.count; count += 1) {
            server.deliver(todo.index, todo.way);
            await settle();
          }
        } else if (todo.do === 'drop') server.drop();
        else if (todo.do === 'lose') server.dropNext(todo.what);
        else if (todo.do === 'twice') server.duplicateNext();
        else if (todo.do === 'busy') server.rejectNext('UNAVAILABLE', 200);
        else if (todo.do === 'pass') await host.pass(todo.ms);
        else if (todo.do === 'reload') await devices[todo.who]?.reload();
        else if (todo.do === 'backend') {
          const content = todo.kind === 'DRAFT_CREATE' ? { data: {} } : { patch: { backend: 1 } };
          server.command('ann', todo.kind, { id: todo.id, ...content });
        } else if ('who' in todo) devices[todo.who]?.write(todo.do, todo.id);
        await settle();
      }
      for (let round = 0; round < 40; round += 1) {
        server.deliverAll();
        await host.pass(5_000);
        const idle = devices.every(({ client }) => client.queue.get().length === 0);
        const live = devices.every(({ client }) => client.connection.get().status === 'connected');
        if (idle && live) break;
      }
      server.deliverAll();
      await settle();
      for (const { client, name } of devices) {
        expect(client.queue.get().length).toBe(0);
        for (const collection of ['drafts', 'pending'] as const) {
          const shown = [...client[collection].list()].sort((a, b) => (a.id < b.id ? -1 : 1));
          expect(shown).toEqual(
            server.documents('ann', collection).map((document) => ({ ...document, synced: true })),
          );
        }
        const numbers = server
          .applied('ann')
          .filter((one) => one.startsWith(`${name}#`))
          .map((one) => Number(one.split('#')[1]));
        expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
      }
      for (const device of devices) {
        await device.client.disconnect();
        // Where nothing is ever refused, nothing that was shown may go back, also not for a moment.
        if (only) expect(device.flickers).toEqual([]);
        if (only) expect(device.client.rejected.get()).toEqual([]);
      }
    }),
    { numRuns: Number(process.env.RUNS ?? 150) },
  );
});
