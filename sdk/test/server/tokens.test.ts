/** Tokens, restarts and refusals of a real server. */

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Client, type ClientOptions, createClient, memoryStorage } from '../../src/index.js';
import { type Server, sign, startServer, until } from '../draftwire.js';

let server: Server;
const clients: Client[] = [];
let users = 0;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.disconnect()));
});

async function connected(user: string, options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = createClient({
    url: server.url,
    getToken: () => sign(user),
    WebSocket: WebSocket as never,
    storage: memoryStorage(),
    ...options,
  });
  clients.push(client);
  client.connect();
  await client.ready();
  return client;
}

const user = () => `token-user-${++users}`;
const admin = () => sign('boss', { claims: { role: 'admin' } });

it.each([
  ['WebSocket', {}],
  ['HTTP', { WebSocket: null }],
] as const)('renews a token that ends without reconnecting, over %s', async (_, transport) => {
  const name = user();
  let tokens = 0;
  const client = await connected(name, {
    ...transport,
    getToken: () => sign(name, { seconds: tokens++ === 0 ? 3 : 3_600 }),
  });
  const states: string[] = [];
  client.connection.subscribe(() => states.push(client.connection.get().status));
  await until(() => tokens === 2, 'a second token');
  // Past the end of the first token and its leeway the connection would be closed with 4500.
  await new Promise((done) => setTimeout(done, 11_000));
  expect((await client.drafts.create({}).settled).status).toBe('accepted');
  expect(states).toEqual([]);
  expect(tokens).toBe(2);
});

it('stops when the token is revoked, and says so', async () => {
  const name = user();
  const client = await connected(name);
  const answer = await server.call('POST', `/api/users/${name}/revoke`, admin(), {});
  expect(answer.status).toBe(200);
  await until(() => client.connection.get().status === 'disconnected', 'the end');
  expect(client.connection.get()).toEqual({ status: 'disconnected', reason: 'revoked' });
});

it('stops when a handshake is refused for the token, after asking over HTTP', async () => {
  const client = createClient({
    url: server.url,
    getToken: () => `${sign('ann').slice(0, -4)}AAAA`,
    WebSocket: WebSocket as never,
    storage: memoryStorage(),
  });
  clients.push(client);
  client.connect();
  await expect(client.ready(10_000)).rejects.toThrow('unauthorized');
});

it('stops when an administrator ends the connection', async () => {
  const name = user();
  const client = await connected(name);
  await server.call('DELETE', `/api/users/${name}/connections`, admin());
  await until(() => client.connection.get().status === 'disconnected', 'the end');
  expect(client.connection.get()).toMatchObject({ reason: 'disconnected-by-administrator' });
});

it('goes on after the server was stopped, and after it was killed, without losing an edit', async () => {
  const name = user();
  const client = await connected(name);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const changes = Array.from({ length: 100 }, () => client.drafts.create({ signal }));
    await server.halt(signal);
    changes.push(client.drafts.create({ signal, late: true }));
    await server.start();
    for (const change of changes) expect((await change.settled).status).toBe('accepted');
  }
  const items = await server.items('drafts', sign(name));
  expect(items.length).toBe(202);
  expect(client.drafts.list().length).toBe(202);
  expect(new Set(items.map(({ version }) => version)).size).toBe(202);
});
