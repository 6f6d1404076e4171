/** The part for HTTP is a file of its own, and may be out of reach like anything else. */

import { expect, it, vi } from 'vitest';
import { createClient, memoryStorage } from '../../src/index.js';
import { createTestServer } from '../../src/testing.js';

let loads = 0;
vi.mock('../../src/polling.js', () => {
  loads += 1;
  return new Promise(() => {});
});

it('tries a WebSocket again where the part for HTTP does not come', async () => {
  const server = createTestServer();
  server.websockets = false;
  const client = createClient({
    ...server.options('ann'),
    ...{ userId: 'ann', storage: memoryStorage() },
    host: { setTimeout: (run, ms) => setTimeout(run, ms / 100) },
  });
  client.connect();
  await vi.waitFor(() => expect(loads).toBe(1));
  server.websockets = true;
  await client.ready();
  expect(client.connection.get()).toMatchObject({ transport: 'websocket' });
  await client.disconnect();
});
