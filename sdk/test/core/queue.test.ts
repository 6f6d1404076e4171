/** The rules of *Retrying* one by one, failing storage, and servers that say what can't be. */

import { afterEach, expect, it } from 'vitest';
import {
  type Client,
  type ClientOptions,
  createClient,
  memoryStorage,
  type Storage,
} from '../../src/index.js';
import { createTestServer, type TestServer } from '../../src/testing.js';
import { FakeHost, settle } from '../host.js';

const clients: Client[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.disconnect()));
});

interface World {
  host: FakeHost;
  server: TestServer;
  storage: Storage;
  open(options?: Partial<ClientOptions>): Promise<Client>;
  run(ms?: number): Promise<void>;
}

function world(limits = {}, storage = memoryStorage()): World {
  const host = new FakeHost();
  const server = createTestServer({ manual: true, now: host.now, limits });
  const run = async (ms = 0) => {
    for (let left = ms; left >= 0; left -= 1_000) {
      for (let round = 0; round < 4; round += 1) {
        await settle();
        server.deliverAll();
      }
      await host.pass(Math.min(Math.max(left, 0), 1_000));
    }
  };
  const open = async (options = {}) => {
    const client = createClient({
      ...server.options('ann'),
      ...{ userId: 'ann', clientId: 'phone', storage, host },
      ...options,
    });
    clients.push(client);
    client.connect();
    await run();
    return client;
  };
  return { host, server, storage, open, run };
}

/** Delivers what goes down, on all connections; nothing goes up. */
async function down(server: TestServer): Promise<void> {
  for (let index = 0; index < 4; index += 1) {
    while (server.deliver(index, 'down')) await settle();
  }
}

const ids = (server: TestServer) => server.documents('ann', 'drafts').map(({ id }) => id);

it('waits for its turn where the server can not take a command now', async () => {
  const { server, open, run } = world();
  const client = await open();
  server.rejectNext('UNAVAILABLE', 3_000);
  const changes = ['a', 'b', 'c'].map((id) => client.drafts.create({}, { id }));
  await run(2_000);
  expect(ids(server)).toEqual([]);
  expect(client.drafts.list().length).toBe(3);
  await run(2_000);
  expect(await Promise.all(changes.map(({ settled }) => settled))).toMatchObject([
    { status: 'accepted', version: 1 },
    { status: 'accepted', version: 2 },
    { status: 'accepted', version: 3 },
  ]);
  expect(server.applied('ann')).toEqual(['phone#1', 'phone#2', 'phone#3']);
  expect(server.handshakes).toBe(1);
});

it('sends no more at a time than the server allows', async () => {
  const { server, open } = world({ inFlight: 2 });
  const client = await open();
  for (let n = 0; n < 6; n += 1) client.drafts.create({ n });
  await settle();
  let arrived = 0;
  while (server.deliver(0, 'up')) arrived += 1;
  await settle();
  expect(arrived).toBe(2);
});

it('numbers anew what is unanswered after the server was rolled back', async () => {
  const { server, open, run } = world();
  const client = await open();
  for (const id of ['a', 'b', 'c']) client.drafts.create({}, { id });
  await run();
  server.offline = true;
  server.drop();
  await run();
  client.drafts.create({}, { id: 'd' });
  client.drafts.create({}, { id: 'e' });
  await run();
  server.rollBack('ann', 2);
  server.offline = false;
  await run(5_000);
  // b and c were lost by the server; d and e were not.
  expect(ids(server)).toEqual(['a', 'd', 'e']);
  expect(client.drafts.list().map(({ id }) => id)).toEqual(['a', 'd', 'e']);
  expect(server.applied('ann')).toEqual(['phone#1', 'phone#2', 'phone#3']);
});

it('takes a new name where another device has used its numbers', async () => {
  const { server, open, run } = world();
  const client = await open();
  await run();
  // The same name, from a storage that knows nothing of the other.
  const twin = world();
  const other = createClient({
    ...server.options('ann'),
    ...{ userId: 'ann', clientId: 'phone', storage: memoryStorage(), host: twin.host },
  });
  clients.push(other);
  await client.disconnect();
  other.drafts.create({}, { id: 'x' });
  other.connect();
  await run();
  await other.disconnect();
  // Mine has issued nothing that the server could have dealt with already.
  client.connect();
  await run(1_000);
  const change = client.drafts.create({}, { id: 'y' });
  await run(1_000);
  expect((await change.settled).status).toBe('accepted');
  expect(ids(server)).toEqual(['x', 'y']);
  const [first, second] = server.applied('ann');
  expect(first).toBe('phone#1');
  expect(second).toMatch(/^(?!phone#).*#1$/);
});

it('takes a new name on MUTATION_REUSED, and sends each command once, in order', async () => {
  const { server, storage, open, run } = world();
  const old = await open();
  old.drafts.create({}, { id: 'a' });
  await run();
  await old.disconnect();
  // The device's storage is put back to where it was before, and number 1 is issued again, offline.
  await storage.erase('http://draftwire.test ann');
  server.offline = true;
  const client = await open();
  client.drafts.create({}, { id: 'b' });
  client.drafts.update('b', { n: 1 });
  await run();
  server.offline = false;
  await run(5_000);
  expect(client.queue.get().length).toBe(0);
  expect(client.rejected.get()).toEqual([]);
  expect(server.documents('ann', 'drafts')).toMatchObject([
    { id: 'a', data: {} },
    { id: 'b', data: { n: 1 } },
  ]);
  const [first, ...others] = server.applied('ann');
  expect(first).toBe('phone#1');
  expect(others.map((one) => one.replace(/^(?!phone#).*#/, 'new#'))).toEqual(['new#1', 'new#2']);
});

it('lists what a device too many has asked for, and goes on as soon as there is room', async () => {
  const { server, open, run } = world();
  const client = await open();
  server.devicesMax = 0;
  const refused = ['a', 'b', 'c'].map((id) => client.drafts.create({}, { id }));
  await run(2_000);
  expect(await Promise.all(refused.map(({ settled }) => settled))).toMatchObject([
    { status: 'rejected', code: 'QUOTA' },
    { status: 'rejected', code: 'QUOTA' },
    { status: 'rejected', code: 'QUOTA' },
  ]);
  expect(client.rejected.get().map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  expect(client.queue.get().length).toBe(0);
  server.devicesMax = 1;
  const taken = ['d', 'e'].map((id) => client.drafts.create({}, { id }));
  await run(2_000);
  expect(
    (await Promise.all(taken.map(({ settled }) => settled))).map(({ status }) => status),
  ).toEqual(['accepted', 'accepted']);
  // The refusals have used up no number, and cost no connection.
  expect(server.applied('ann')).toEqual(['phone#1', 'phone#2']);
  expect(server.handshakes).toBe(1);
});

it("does not lay an own edit over another device's that came after it", async () => {
  const { server, open, run } = world();
  const client = await open();
  client.drafts.create({ n: 0 }, { id: 'a' });
  await run();
  const shown: unknown[] = [];
  client.drafts.subscribe('a', () => {
    const { data, version, synced } = client.drafts.get('a') ?? {};
    shown.push([data?.n, version, synced]);
  });
  server.holdAnswers();
  const change = client.drafts.update('a', { n: 1 });
  await run();
  server.command('ann', 'DRAFT_UPDATE', { id: 'a', patch: { n: 2 } });
  await run();
  expect(shown).toEqual([
    [1, 2, false],
    [1, 2, true],
    [2, 3, true],
  ]);
  server.releaseAnswers();
  await run();
  expect(await change.settled).toMatchObject({ status: 'accepted', version: 2 });
  expect(shown.length).toBe(3);
});

it('gives up a command that is too big for the server, and that one only', async () => {
  const { server, open, run } = world({ frameBytes: 400, documentBytes: 200 });
  const client = await open();
  const outcomes = [
    client.drafts.create({ text: 'x'.repeat(50) }, { id: 'a' }),
    client.drafts.create({ text: 'x'.repeat(300) }, { id: 'b' }),
    client.drafts.create({ text: 'x'.repeat(500) }, { id: 'c' }),
    client.drafts.create({ text: 'x'.repeat(50) }, { id: 'd' }),
  ];
  await run(1_000);
  expect(
    (await Promise.all(outcomes.map(({ settled }) => settled))).map(
      (told) => 'code' in told && told.code,
    ),
  ).toEqual([false, 'TOO_LARGE', 'TOO_LARGE', false]);
  expect(ids(server)).toEqual(['a', 'd']);
  expect(client.rejected.get().map(({ id }) => id)).toEqual(['b', 'c']);
  expect(server.handshakes).toBe(1);
});

it('gives up the largest command under way on 1009', async () => {
  const { server, open, run } = world();
  const client = await open();
  for (const [id, size] of [
    ['a', 10],
    ['b', 1_000],
    ['c', 20],
  ] as const) {
    client.drafts.create({ text: 'x'.repeat(size) }, { id });
  }
  await settle();
  server.drop(1009);
  await run(5_000);
  expect(ids(server)).toEqual(['a', 'c']);
  expect(client.rejected.get()).toMatchObject([
    { id: 'b', code: 'TOO_LARGE', type: 'DRAFT_CREATE' },
  ]);
  expect(client.queue.get().length).toBe(0);
});

it('finds the one command that the server can not read', async () => {
  const { server, host, open, run } = world();
  const client = await open();
  const unreadable = () =>
    server.sendRaw(
      JSON.stringify({ type: 'ERROR', payload: { code: 'BAD_FRAME', message: 'no' } }),
    );
  const changes = ['a', 'b', 'c'].map((id) => client.drafts.create({}, { id }));
  await settle();
  unreadable();
  await down(server);
  // Three were under way, so it could be any: on the next connection they go one at a time.
  for (let round = 0; round < 3; round += 1) {
    await host.pass(600);
    await down(server);
  }
  expect(client.connection.get().status).toBe('connected');
  expect(client.rejected.get()).toEqual([]);
  unreadable();
  await down(server);
  expect(client.rejected.get()).toMatchObject([{ id: 'a', code: 'INVALID' }]);
  await run(5_000);
  const outcomes = await Promise.all(changes.map(({ settled }) => settled));
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'accepted', 'accepted']);
  expect(ids(server)).toEqual(['b', 'c']);
});

it('keeps the queue through a reload, with its numbers, and settles it once', async () => {
  const { server, storage, open, run } = world();
  const first = await open();
  server.dropNext('answer');
  first.drafts.create({ n: 1 }, { id: 'a' });
  first.drafts.update('a', { n: 2 });
  await settle();
  server.deliverAll();
  await settle();
  await first.disconnect();
  const second = await open({ storage });
  await run(1_000);
  expect(second.queue.get().length).toBe(0);
  expect(server.applied('ann')).toEqual(['phone#1', 'phone#2']);
  expect(server.documents('ann', 'drafts')).toMatchObject([
    { id: 'a', data: { n: 2 }, version: 2 },
  ]);
});

it('does not lay over a snapshot what the snapshot holds already', async () => {
  const { server, host, open, run } = world();
  const client = await open();
  client.drafts.create({}, { id: 'a' });
  await run();
  server.dropNext('answer');
  client.drafts.delete('a');
  await settle();
  server.deliver(0, 'up');
  // Somebody makes it again; then the log does not reach back, and the ACK is still to come.
  server.command('ann', 'DRAFT_CREATE', { id: 'a', data: { again: true } });
  server.forgetLog('ann');
  // The old connection ends; on the new one everything comes down, and nothing goes up yet.
  for (let round = 0; round < 3; round += 1) {
    await down(server);
    await host.pass(600);
  }
  await down(server);
  expect(client.connection.get().status).toBe('connected');
  expect(client.queue.get().length).toBe(1);
  expect(client.drafts.get('a')?.data).toEqual({ again: true });
  await run(3_000);
  expect(client.queue.get().length).toBe(0);
  expect(client.drafts.get('a')?.data).toEqual({ again: true });
});

it('does not show an edit twice where a snapshot brings it and its ACK is still to come', async () => {
  const { server, host, open, run } = world();
  const client = await open();
  client.drafts.create({ n: 0 }, { id: 'a' });
  await run();
  server.dropNext('answer');
  client.drafts.update('a', { n: 1 });
  await settle();
  const shown: unknown[] = [];
  client.drafts.subscribe('a', () => {
    const { data, version } = client.drafts.get('a') ?? {};
    shown.push([data?.n, version]);
  });
  server.deliver(0, 'up');
  server.command('ann', 'DRAFT_UPDATE', { id: 'a', patch: { n: 2 } });
  server.forgetLog('ann');
  for (let round = 0; round < 3; round += 1) {
    await down(server);
    await host.pass(600);
  }
  expect(client.queue.get().length).toBe(1);
  expect(shown).toEqual([[2, 3]]);
  await run(3_000);
  expect(shown).toEqual([[2, 3]]);
});

it('ignores what it has applied already, and does not go on over a gap', async () => {
  const { server, open, run } = world();
  const client = await open();
  server.duplicateNext(4);
  client.drafts.create({}, { id: 'a' });
  client.drafts.update('a', { n: 1 });
  await run(1_000);
  expect(server.handshakes).toBe(1);
  expect(client.drafts.get('a')).toMatchObject({ version: 2, data: { n: 1 }, synced: true });
  const document = { id: 'x', version: 9, data: {}, createdAt: '', updatedAt: '' };
  server.sendRaw(JSON.stringify({ type: 'DRAFT_CREATED', seq: 9, payload: { document } }));
  await run(3_000);
  expect(server.handshakes).toBe(2);
  expect(client.drafts.get('x')).toBeUndefined();
});

it('says what it could not store, and sends it never', async () => {
  const inner = memoryStorage();
  let full = false;
  const storage: Storage = {
    ...inner,
    durable: true,
    update: (space, prefix, change) =>
      full ? Promise.reject(new Error('disk full')) : inner.update(space, prefix, change),
  };
  const { server, open, run } = world({}, storage);
  const client = await open();
  const stored = client.drafts.create({}, { id: 'a' });
  await run();
  full = true;
  const lost = client.drafts.create({}, { id: 'b' });
  expect(client.drafts.get('b')).toBeDefined();
  await run();
  expect((await stored.settled).status).toBe('accepted');
  expect(await lost.settled).toMatchObject({ status: 'rejected', code: 'STORAGE_FAILED' });
  expect(client.drafts.get('b')).toBeUndefined();
  expect(ids(server)).toEqual(['a']);
  // What others do is still shown.
  server.command('ann', 'DRAFT_CREATE', { id: 'c', data: {} });
  await run();
  expect(client.drafts.get('c')).toBeDefined();
  full = false;
  const again = client.rejected.retry(client.rejected.get()[0]?.key ?? '');
  await run(6_000);
  expect((await again?.settled)?.status).toBe('accepted');
  await client.disconnect();
  const next = await open();
  expect(next.drafts.list().length).toBe(3);
  expect(next.rejected.get()).toEqual([]);
});

it('refuses what is more than the queue may hold', async () => {
  const { server, open } = world();
  server.offline = true;
  const client = await open({ queueMax: 2 });
  client.drafts.create({}, { id: 'a' });
  client.drafts.create({}, { id: 'b' });
  const third = client.drafts.create({}, { id: 'c' });
  expect(await third.settled).toMatchObject({ status: 'rejected', code: 'QUEUE_FULL' });
  expect(client.queue.get().length).toBe(2);
  expect(client.drafts.get('c')).toBeUndefined();
});

it('forgets a user when told to', async () => {
  const { storage, open, run } = world();
  const client = await open();
  client.drafts.create({}, { id: 'a' });
  await run();
  await client.forget();
  expect(client.drafts.list()).toEqual([]);
  expect((await storage.read('http://draftwire.test ann')).map(([key]) => key)).toEqual(['meta']);
});

it.each([
  'no JSON',
  'null',
  '{"type":"ACK","payload":null}',
  '{"type":"ACK","payload":{"mutationId":1,"id":"other","version":1,"seq":1}}',
  '{"type":"ACK","payload":{"mutationId":1,"id":"a","version":1,"seq":99}}',
  '{"type":"ACK","payload":{"mutationId":77}}',
  '{"type":"REJECTED","payload":{"mutationId":1}}',
  '{"type":"REJECTED","payload":{"mutationId":1,"code":"OUT_OF_ORDER","expected":-5}}',
  '{"type":"DRAFT_CREATED","seq":1,"payload":{"document":{"id":"x"}}}',
  '{"type":"DRAFT_CREATED","seq":99,"payload":{"document":{"id":"x","version":1,"data":{},"createdAt":"","updatedAt":""}}}',
  '{"type":"SNAPSHOT","seq":0,"payload":{"drafts":[],"pending":[],"more":false}}',
  '{"type":"WELCOME","payload":{}}',
  '{"type":"ERROR","payload":{}}',
  '{"type":"TOKEN_EXPIRING","payload":{}}',
  '{"type":"RECONNECT","payload":{"afterMs":"soon"}}',
  '{"type":"__proto__","payload":{"__proto__":{"a":1}}}',
  `"${'x'.repeat(2_000_000)}"`,
])('loses nothing to a server that says %s', async (text) => {
  const { server, open, run } = world();
  const client = await open();
  const change = client.drafts.create({ n: 1 }, { id: 'a' });
  await settle();
  server.sendRaw(text);
  while (server.deliver(0, 'down')) await settle();
  expect(client.drafts.get('a')?.data).toEqual({ n: 1 });
  expect(client.queue.get().length).toBe(1);
  await run(10_000);
  expect((await change.settled).status).toBe('accepted');
  expect(server.applied('ann')).toEqual(['phone#1']);
  expect(client.drafts.list()).toMatchObject(server.documents('ann', 'drafts'));
  expect(client.connection.get().status).toBe('connected');
});
