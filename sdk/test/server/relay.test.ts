/** A relay keeps no documents and takes no commands: what a client shows of it, and what it keeps. */

import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createClient, memoryStorage } from '../../src/index.js';
import { type Server, sign, startServer, until } from '../draftwire.js';

let server: Server;
beforeAll(async () => {
  server = await startServer('--relay');
});
afterAll(() => server.stop());

async function publish(type: string, payload: object): Promise<void> {
  const admin = sign('boss', { claims: { role: 'admin' } });
  const answer = await server.call('POST', '/api/users/ann/events', admin, { type, payload });
  expect(answer.status).toBe(200);
}

function created(id: string): object {
  const now = new Date().toISOString();
  return { document: { id, version: 1, data: {}, createdAt: now, updatedAt: now }, origin: {} };
}

it('shows what is published, refuses to write, and forgets documents with the connection', async () => {
  const storage = memoryStorage();
  const open = () =>
    createClient({
      url: server.url,
      getToken: () => sign('ann'),
      ...{ WebSocket: WebSocket as never, storage, userId: 'ann' },
    });
  const ids = () => client.drafts.list().map(({ id }) => id);
  let client = open();
  client.connect();
  await client.ready();
  await publish('DRAFT_CREATED', created('a'));
  await publish('DRAFT_CREATED', created('b'));
  await until(() => ids().length === 2, 'two drafts');
  await publish('DRAFT_DELETED', { id: 'a', origin: {} });
  await until(() => ids().join() === 'b', 'one draft');
  for (const id of ['x', 'y']) {
    const change = client.drafts.create({}, { id });
    expect(await change.settled).toMatchObject({ status: 'rejected', code: 'FORBIDDEN' });
  }
  expect(ids()).toEqual(['b']);
  // While the connection is away, b may be deleted, and nobody will say so.
  await server.halt();
  await server.start();
  await until(() => client.connection.get().status !== 'connected', 'the loss');
  await client.ready();
  expect(ids()).toEqual([]);
  await publish('DRAFT_CREATED', created('c'));
  await until(() => ids().join() === 'c', 'another draft');
  await client.disconnect();
  // The next start of the app has nothing to show before it is connected, nor after.
  const keys = (await storage.read(`${server.url} ann`)).map(([key]) => key);
  expect(keys.filter((key) => /^(drafts|pending|position)/.test(key))).toEqual([]);
  client = open();
  let listed = 0;
  client.drafts.subscribe(() => listed++);
  client.connect();
  await client.ready();
  expect(listed).toBe(0);
  await client.disconnect();
});

it('goes back to WebSockets where two handshakes have failed', async () => {
  let handshakes = 0;
  const client = createClient({
    url: server.url,
    getToken: () => sign('bob'),
    WebSocket: class extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(++handshakes <= 2 ? 'ws://127.0.0.1:1' : url, protocols);
      }
    } as never,
    ...{ storage: memoryStorage(), userId: 'bob', host: { random: () => 0 } },
  });
  client.connect();
  await client.ready();
  expect(client.connection.get()).toMatchObject({ transport: 'websocket' });
  expect(handshakes).toBe(3);
  await client.disconnect();
});
