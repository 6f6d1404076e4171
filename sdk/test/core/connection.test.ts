/** When the client connects, waits, asks and stops: with a clock that stands still. */

import { afterEach, expect, it } from 'vitest';
import {
  type Client,
  type ClientOptions,
  type ConnectionState,
  createClient,
  memoryStorage,
  NotReadyError,
} from '../../src/index.js';
import { createTestServer, type TestServer, testToken } from '../../src/testing.js';
import { FakeHost, settle } from '../host.js';

const clients: Client[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.disconnect()));
});

function setUp(options: Partial<ClientOptions> = {}) {
  const host = new FakeHost();
  const server = createTestServer({
    ...{ manual: true, now: host.now, setTimeout: host.setTimeout },
  });
  const client = createClient({
    ...server.options('ann'),
    userId: 'ann',
    storage: memoryStorage(),
    host,
    ...options,
  });
  clients.push(client);
  const states: ConnectionState[] = [];
  client.connection.subscribe(() => states.push(client.connection.get()));
  return { host, server, client, states };
}

/** Lets everything arrive, several times to and fro. */
async function run(server: TestServer): Promise<void> {
  for (let round = 0; round < 5; round += 1) {
    await settle();
    server.deliverAll();
  }
  await settle();
}

/** Lets time pass while everything is delivered. */
async function live(host: FakeHost, server: TestServer, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 2_000) {
    await run(server);
    await host.pass(Math.min(left, 2_000));
  }
  await run(server);
}

async function connected(options: Partial<ClientOptions> = {}) {
  const all = setUp(options);
  all.client.connect();
  await run(all.server);
  expect(all.client.connection.get()).toMatchObject({ status: 'connected' });
  return all;
}

it('does nothing before connect(), and says how it stands', async () => {
  const { server, client, states } = setUp();
  await run(server);
  expect(server.handshakes).toBe(0);
  expect(client.connection.get()).toEqual({ status: 'disconnected', reason: 'initial' });
  client.connect();
  client.connect();
  await run(server);
  expect(server.handshakes).toBe(1);
  expect(states.map(({ status }) => status)).toContain('connecting');
  expect(client.connection.get()).toEqual({
    status: 'connected',
    transport: 'websocket',
    userId: 'ann',
  });
  await client.disconnect();
  expect(client.connection.get()).toEqual({ status: 'disconnected', reason: 'closed' });
  expect(server.connections).toBe(0);
});

it.each([
  ['fails', () => Promise.reject(new Error('no network'))],
  [
    'throws',
    () => {
      throw new Error('a bug');
    },
  ],
  ['hangs', () => new Promise<string>(() => {})],
] as const)('goes on when getToken %s', async (_, bad) => {
  let calls = 0;
  const { host, server, client } = setUp({
    tokenTimeoutMs: 1_000,
    getToken: () => (++calls <= 3 ? bad() : testToken('ann')),
  });
  client.connect();
  await live(host, server, 20_000);
  expect(calls).toBe(4);
  expect(client.connection.get().status).toBe('connected');
});

it('waits longer and longer, at random, at most 20 seconds, and not at all when the network is back', async () => {
  const { host, server, client } = setUp();
  server.offline = true;
  const delays: number[] = [];
  host.nextRandom = () => 0.999;
  client.connect();
  for (let round = 0; round < 9; round += 1) {
    const from = host.monotonic();
    const seen = server.handshakes;
    await run(server);
    while (server.handshakes === Math.max(seen, round + 1) && delays.length <= round) {
      await host.pass(100);
      await run(server);
      if (server.handshakes > round + 1) delays.push(host.monotonic() - from);
    }
  }
  const expected = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000];
  for (const [index, ms] of expected.entries()) {
    expect(delays[index]).toBeGreaterThan(ms - 150);
    expect(delays[index]).toBeLessThanOrEqual(ms + 100);
  }
  const before = server.handshakes;
  server.offline = false;
  host.wake();
  await run(server);
  expect(server.handshakes).toBe(before + 1);
  expect(client.connection.get().status).toBe('connected');
});

it('starts its back-off anew only after a stable minute', async () => {
  const { host, server, client } = await connected();
  host.nextRandom = () => 0.999;
  for (const attempt of [0, 1, 2]) {
    server.drop();
    await run(server);
    expect(client.connection.get()).toMatchObject({ status: 'connecting', attempt });
    await host.pass(5_000);
    await run(server);
  }
  await live(host, server, 61_000);
  server.drop();
  await run(server);
  expect(client.connection.get()).toMatchObject({ status: 'connecting', attempt: 0 });
});

it('comes back when the server said, also when the page wakes up before', async () => {
  const { host, server, client } = await connected();
  server.restart(1_700);
  await run(server);
  expect(client.connection.get()).toMatchObject({ status: 'connecting', reason: 'restart' });
  host.wake();
  await host.pass(1_650);
  await run(server);
  expect(server.handshakes).toBe(1);
  await host.pass(100);
  await run(server);
  expect(server.handshakes).toBe(2);
});

it('gives up a socket that only looks open, when the page is seen again', async () => {
  const { host, server, client } = await connected();
  host.wake();
  await host.pass(4_000);
  expect(client.connection.get().status).toBe('connected');
  // Nothing is delivered: no PONG comes.
  await host.pass(2_000);
  expect(client.connection.get()).toMatchObject({ status: 'connecting', reason: 'lost' });
  await host.pass(1_000);
  await run(server);
  expect(client.connection.get().status).toBe('connected');
  host.wake();
  await run(server);
  await host.pass(20_000);
  expect(client.connection.get().status).toBe('connected');
});

it('notices a dead connection by itself after a silent heartbeat', async () => {
  const { host, client } = await connected();
  await host.pass(26_000);
  await host.pass(31_000);
  expect(client.connection.get().status).toBe('connecting');
});

it('brings a fresh token without reconnecting', async () => {
  let calls = 0;
  const { host, server, client } = await connected({
    getToken: () => testToken('ann', { n: ++calls < 4 ? 1 : calls }),
  });
  server.expireSoon();
  await run(server);
  // The same token as before helps nobody: asked again until there is another one.
  expect(calls).toBe(2);
  await host.pass(11_000);
  await run(server);
  expect(calls).toBe(4);
  expect(server.handshakes).toBe(1);
  expect(client.connection.get().status).toBe('connected');
});

it.each([
  ['its own time, for a token that is half used up', true, 600, 300],
  ['no time that can be read, for a new token', false, 300, 0],
  ['its own time, for a token that ends while a call waits', true, 10, 0],
])('renews a token over HTTP before it ends: the server tells %s', async (_, dated, life, age) => {
  const day = 24 * 60 * 60_000;
  const { host, server } = setUp();
  const { fetch: fetcher } = server.options('ann');
  const refused: number[] = [];
  let calls = 0;
  const client = createClient({
    url: 'http://draftwire.test',
    getToken: () => {
      const now = Math.floor(host.now() / 1_000);
      const iat = ++calls === 1 ? now - age : now;
      return testToken('ann', { iat, exp: iat + life });
    },
    ...{ userId: 'ann', storage: memoryStorage(), WebSocket: null },
    fetch: async (...args) => {
      const answer = (await fetcher?.(...args)) as Response;
      if (!dated) answer.headers.delete('date');
      if (!answer.ok) refused.push(answer.status);
      return answer;
    },
    // A wall clock that is wrong by a day, and a time that counts from the start of the device.
    host: { ...host, now: () => host.now() - day, monotonic: () => host.monotonic() - 1e12 },
  });
  clients.push(client);
  client.connect();
  await live(host, server, 1_000);
  expect(client.connection.get()).toMatchObject({ status: 'connected', transport: 'http' });
  const states: string[] = [];
  client.connection.subscribe(() => states.push(client.connection.get().status));
  const left = (life - age) * 1_000;
  const renewal = left - Math.min(60_000, left / 5);
  await live(host, server, renewal - 3_000);
  expect(calls).toBe(1);
  await live(host, server, 4_000);
  expect(calls).toBe(2);
  await live(host, server, 4 * life * 1_000);
  expect(calls).toBeGreaterThan(4);
  expect(calls).toBeLessThan(9);
  expect(states).toEqual([]);
  expect((await client.drafts.create({}).settled).status).toBe('accepted');
  // Only calls that were under way with the old token are refused, and asked again.
  if (life > 60) expect(refused).toEqual([]);
  else expect(refused.length).toBeGreaterThan(0);
});

it('does not ask for tokens all the time where they are good for years', async () => {
  let calls = 0;
  const { host, server, client } = await connected({
    WebSocket: null,
    getToken: () => testToken('ann', { iat: 0, exp: 1e11, n: ++calls }),
  });
  const day = 24 * 60 * 60_000;
  expect(host.waits.filter((ms) => ms > day)).toEqual([]);
  for (let days = 0; days < 3; days += 1) {
    await host.pass(day);
    await run(server);
  }
  expect(calls).toBe(1);
  expect(client.connection.get().status).toBe('connected');
});

it('calls one listener once for each change of anything', async () => {
  const { server, client } = await connected();
  let calls = 0;
  const stop = client.subscribe(() => calls++);
  const during = async (step: () => unknown) => {
    const before = calls;
    await step();
    await settle();
    return calls - before;
  };
  // On screen, and then at its place among what others have created; then on the server.
  expect(await during(() => client.drafts.create({}, { id: 'a' }))).toBe(2);
  expect(await during(() => run(server))).toBe(1);
  expect(await during(() => server.command('ann', 'PENDING_CREATE', { id: 'p', data: {} }))).toBe(
    0,
  );
  // The pending order of somebody else.
  expect(await during(() => run(server))).toBe(1);
  server.publish('ann', 'PRICES_CHANGED', {});
  expect(await during(() => run(server))).toBe(0);
  // On screen and in the queue, while storing it shows nothing; then gone from both, and in the list of what was refused.
  expect(await during(() => client.drafts.update('a', {}, { ifVersion: 99 }))).toBe(1);
  expect(await during(() => run(server))).toBe(1);
  const [refused] = client.rejected.get();
  expect(await during(() => client.rejected.discard(refused?.key ?? ''))).toBe(1);
  server.drop();
  expect(await during(() => run(server))).toBe(1);
  expect(client.connection.get().status).toBe('connecting');
  stop();
  expect(await during(() => client.drafts.create({}))).toBe(0);
});

it.each([
  [1002, 'protocol'],
  [1003, 'protocol'],
  [1007, 'protocol'],
  [1008, 'protocol'],
  [4003, 'replaced'],
  [4501, 'revoked'],
  [4502, 'disconnected-by-administrator'],
  [4700, 'unauthorized'],
])('stops on %i and says why', async (code, reason) => {
  const { host, server, client } = await connected();
  server.drop(code);
  await run(server);
  await host.pass(100_000);
  await run(server);
  expect(client.connection.get()).toEqual({ status: 'disconnected', reason });
  expect(server.handshakes).toBe(1);
  client.connect();
  await run(server);
  expect(client.connection.get().status).toBe('connected');
});

it.each([1000, 1001, 1005, 1006, 1009, 1011, 1012, 1013, 4000, 4001, 4002, 4500])(
  'reconnects on %i',
  async (code) => {
    const { host, server, client } = await connected();
    server.drop(code);
    await run(server);
    expect(client.connection.get().status).toBe('connecting');
    await host.pass(code === 4500 ? 0 : 1_000);
    await run(server);
    expect(client.connection.get().status).toBe('connected');
  },
);

it('asks over HTTP before it calls itself unauthorized', async () => {
  const { host, server, client } = setUp();
  server.revoke('ann');
  client.connect();
  await run(server);
  await host.pass(1_000);
  await run(server);
  expect(client.connection.get()).toEqual({ status: 'disconnected', reason: 'revoked' });
  await expect(client.ready(1_000)).rejects.toBeInstanceOf(NotReadyError);
});

it('tries one other token before it stops', async () => {
  let calls = 0;
  const refuse = async () => Response.json({ code: 'TOKEN_EXPIRED' }, { status: 401 });
  const { host, server, client } = setUp({
    fetch: refuse,
    getToken: () => testToken('ann', { n: ++calls }),
  });
  server.offline = true;
  client.connect();
  await run(server);
  await host.pass(60_000);
  await run(server);
  expect(client.connection.get()).toEqual({ status: 'disconnected', reason: 'unauthorized' });
  expect(calls).toBe(2);
});

it('goes over to HTTP where WebSockets are blocked, and back', async () => {
  const { host, server, client } = setUp();
  server.websockets = false;
  client.connect();
  for (let round = 0; round < 3; round += 1) {
    await run(server);
    await host.pass(1_000);
  }
  await run(server);
  expect(client.connection.get()).toMatchObject({ status: 'connected', transport: 'http' });
  const change = client.drafts.create({ n: 1 });
  await run(server);
  expect(await change.settled).toMatchObject({ status: 'accepted', version: 1 });
  expect(client.drafts.get(change.id)?.synced).toBe(true);
  server.websockets = true;
  await live(host, server, 5 * 60_000 + 1_000);
  expect(client.connection.get()).toMatchObject({ status: 'connected', transport: 'websocket' });
});

it("never shows or sends a user's changes to another user", async () => {
  let user = 'ann';
  const storage = memoryStorage();
  const { host, server, client } = setUp();
  await client.disconnect();
  const other = createClient({
    ...server.options('ann'),
    getToken: () => testToken(user),
    storage,
    host,
  });
  clients.push(other);
  other.connect();
  await run(server);
  server.offline = true;
  server.drop();
  await run(server);
  const change = other.drafts.create({ secret: true });
  await change.saved;
  user = 'bob';
  server.offline = false;
  await live(host, server, 30_000);
  expect(other.connection.get()).toMatchObject({ status: 'connected', userId: 'bob' });
  expect(other.drafts.list()).toEqual([]);
  expect(other.queue.get().length).toBe(0);
  expect(server.documents('bob', 'drafts')).toEqual([]);
  user = 'ann';
  server.drop();
  await live(host, server, 30_000);
  expect(other.connection.get()).toMatchObject({ status: 'connected', userId: 'ann' });
  expect(server.documents('ann', 'drafts').map(({ data }) => data)).toEqual([{ secret: true }]);
});

it("stops where the token is not the user's", async () => {
  const { server, client } = setUp({ getToken: () => testToken('bob') });
  client.connect();
  await run(server);
  expect(client.connection.get()).toEqual({ status: 'disconnected', reason: 'wrong-user' });
  expect(server.handshakes).toBe(0);
});

it('tells what the backend publishes', async () => {
  const { server, client } = await connected();
  const heard: unknown[] = [];
  const stop = client.on('PRICES_CHANGED', (payload) => heard.push(payload));
  server.publish('ann', 'PRICES_CHANGED', { season: 'winter' });
  await run(server);
  stop();
  server.publish('ann', 'PRICES_CHANGED', { season: 'summer' });
  await run(server);
  expect(heard).toEqual([{ season: 'winter' }]);
});
