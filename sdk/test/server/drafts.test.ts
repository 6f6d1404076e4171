/** The client against a real server: what is promised to an application, over both transports. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
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

const user = () => `user-${++users}`;

function device(name: string, options: Partial<ClientOptions> = {}): Client {
  const client = createClient({
    url: server.url,
    getToken: () => sign(name),
    WebSocket: WebSocket as never,
    storage: memoryStorage(),
    ...options,
  });
  clients.push(client);
  return client;
}

async function connected(name: string, options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = device(name, options);
  client.connect();
  await client.ready();
  return client;
}

describe.each([
  ['WebSocket', {}],
  ['HTTP', { WebSocket: null }],
] as const)('over %s', (_, transport) => {
  it('shows an edit at once, here, and soon on the other device', async () => {
    const name = user();
    const [one, two] = [await connected(name, transport), await connected(name, transport)];
    const states: string[] = [];
    one.connection.subscribe(() => states.push(one.connection.get().status));
    const change = one.drafts.create({ customer: 'Miller', lines: {} });
    expect(one.drafts.get(change.id)?.data).toEqual({ customer: 'Miller', lines: {} });
    expect(one.drafts.get(change.id)?.synced).toBe(false);
    expect(await change.settled).toMatchObject({ status: 'accepted', id: change.id, version: 1 });
    expect(one.drafts.get(change.id)).toMatchObject({ synced: true, version: 1 });
    await until(() => two.drafts.get(change.id), 'the draft on the other device');
    two.drafts.update(change.id, { lines: { a: { quantity: 1 } } });
    one.drafts.update(change.id, { lines: { b: { quantity: 2 } } });
    const lines = { a: { quantity: 1 }, b: { quantity: 2 } };
    for (const client of [one, two]) {
      await until(
        () =>
          JSON.stringify(client.drafts.get(change.id)?.data.lines).length ===
          JSON.stringify(lines).length,
        'both lines',
      );
      expect(client.drafts.get(change.id)?.data.lines).toEqual(lines);
    }
    const placed = await one.drafts.convert(change.id, { patch: { note: 'now' } }).settled;
    expect(placed.status).toBe('accepted');
    await until(() => two.pending.list().length === 1, 'the pending order');
    expect(two.drafts.list()).toEqual([]);
    expect(two.pending.list()[0]?.data).toMatchObject({ note: 'now', customer: 'Miller' });
    // Nothing arrived in an order that made the client start anew.
    expect(states).toEqual([]);
  });

  it('keeps what was written offline in order, and sends it once', async () => {
    const name = user();
    const storage = memoryStorage();
    const client = device(name, { ...transport, storage, userId: name });
    const changes = Array.from({ length: 300 }, (_, index) =>
      client.drafts.create({ index }, { id: `d${index}` }),
    );
    await Promise.all(changes.map(({ saved }) => saved));
    expect(client.queue.get().length).toBe(300);
    client.connect();
    const outcomes = await Promise.all(changes.map(({ settled }) => settled));
    expect(outcomes.every(({ status }) => status === 'accepted')).toBe(true);
    const items = await server.items('drafts', sign(name));
    // A first version is the place of its event: 1, 2, 3 … in the order of writing.
    const order = items.sort((a, b) => Number(a.version) - Number(b.version));
    expect(order.map(({ id }) => id)).toEqual(changes.map(({ id }) => id));
    expect(order.map(({ version }) => version)).toEqual(changes.map((_, index) => index + 1));
    expect(client.queue.get().length).toBe(0);
  });

  it('lists what was refused, lets it be retried or discarded, and goes on behind it', async () => {
    const name = user();
    const client = await connected(name, transport);
    await client.drafts.create({ n: 1 }, { id: 'a' }).settled;
    const late = client.drafts.update('a', { n: 2 }, { ifVersion: 99 });
    const next = client.drafts.update('a', { m: 3 });
    expect(await late.settled).toMatchObject({
      status: 'rejected',
      code: 'VERSION_CONFLICT',
      document: { id: 'a', data: { n: 1 } },
    });
    expect((await next.settled).status).toBe('accepted');
    const [refused] = client.rejected.get();
    expect(refused).toMatchObject({ type: 'DRAFT_UPDATE', id: 'a', collection: 'drafts' });
    const again = client.rejected.retry(refused?.key ?? '');
    expect((await again?.settled)?.status).toBe('accepted');
    expect(client.drafts.get('a')?.data).toEqual({ n: 2, m: 3 });
    expect(client.rejected.get()).toEqual([]);
  });

  it('takes the deletion of what is gone for done', async () => {
    const client = await connected(user(), transport);
    expect((await client.drafts.delete('nothing').settled).status).toBe('accepted');
    expect(client.rejected.get()).toEqual([]);
  });

  it('refuses what is too large without losing what comes after', async () => {
    const client = await connected(user(), transport);
    const large = client.drafts.create({ text: 'x'.repeat(600_000) });
    const small = client.drafts.create({ text: 'x' });
    expect(await large.settled).toMatchObject({ status: 'rejected', code: 'TOO_LARGE' });
    expect((await small.settled).status).toBe('accepted');
    expect(client.drafts.list().length).toBe(1);
    expect(client.drafts.get(large.id)).toBeUndefined();
    await until(() => client.queue.get().length === 0, 'an empty queue');
  });
});
