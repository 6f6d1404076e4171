/** The client against a real server that takes fewer commands a second than it is sent. */

import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createClient, memoryStorage } from '../../src/index.js';
import { type Server, sign, startServer } from '../draftwire.js';

let server: Server;
beforeAll(async () => {
  server = await startServer('--connection-commands', '50/5', '--user-commands', '50/5');
});
afterAll(() => server.stop());

it.each([
  ['WebSocket', {}],
  ['HTTP', { WebSocket: null }],
] as const)(
  'sends again what was refused for the rate, in order and once, over %s',
  async (name, transport) => {
    const client = createClient({
      url: server.url,
      getToken: () => sign(name),
      WebSocket: WebSocket as never,
      storage: memoryStorage(),
      ...transport,
    });
    client.connect();
    await client.ready();
    const { id } = client.drafts.create({ n: 0 });
    const changes = Array.from({ length: 40 }, (_, n) => client.drafts.update(id, { n: n + 1 }));
    const settled = await Promise.all(changes.map((change) => change.settled));
    expect(settled.map((answer) => answer.status)).toEqual(changes.map(() => 'accepted'));
    expect(client.drafts.get(id)).toMatchObject({ synced: true, version: 41, data: { n: 40 } });
    await client.disconnect();
  },
);
