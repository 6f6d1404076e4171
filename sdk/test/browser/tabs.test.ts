/**
 * Real Chromium, real IndexedDB, real Web Locks, a real server: tabs, reloads, kills, failing
 * storage, wrong clocks, a hostile server. Nothing may be lost, doubled or out of order.
 */

import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcp,
  type Server as TcpServer,
} from 'node:net';
import type { BrowserContext } from 'playwright-core';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import { WebSocketServer } from 'ws';
import { type Server, sign, startServer, until } from '../draftwire.js';
import { hasChromium, Pages, ready } from './page.js';

let pages: Pages;
let server: Server;
let context: BrowserContext;
let user: string;
let count = 0;

/** Drafts in the order in which the server has created them. */
async function created(): Promise<string[]> {
  const items = await server.items('drafts', sign(user));
  expect(items.map(({ version }) => Number(version)).sort((a, b) => a - b)).toEqual(
    items.map((_, index) => index + 1),
  );
  return items.sort((a, b) => Number(a.version) - Number(b.version)).map(({ id }) => String(id));
}

async function connections(): Promise<number> {
  const answer = await server.call(
    'GET',
    `/api/users/${user}/connections`,
    sign('boss', { claims: { role: 'admin' } }),
  );
  return ((await answer.json()) as { items: unknown[] }).items.length;
}

const open = (connect = true, token = sign(user), url = server.url) =>
  pages.open(context, { url, token, user, connect });

describe.skipIf(!hasChromium)('in Chromium', () => {
  beforeAll(async () => {
    pages = await Pages.start();
    server = await startServer();
  });
  afterAll(async () => {
    await pages?.stop();
    await server?.stop();
  });
  beforeEach(async () => {
    user = `user-${++count}`;
    context = await pages.context();
  });
  afterEach(async () => {
    for (const page of context.pages()) {
      const errors = await page.evaluate(() => window.errors).catch(() => []);
      expect(errors).toEqual([]);
    }
    await context.close();
  });

  it('has one connection for two tabs, and goes on when the leader is closed', async () => {
    const one = await open();
    await ready(one);
    const two = await open();
    await ready(two);
    expect(await connections()).toBe(1);
    expect(await one.evaluate(() => window.client.queue.get())).toMatchObject({
      leader: true,
      durable: true,
    });
    expect(await two.evaluate(() => window.client.queue.get())).toMatchObject({
      leader: false,
      durable: true,
    });
    const outcome = await two.evaluate(
      () => window.client.drafts.create({ from: 'two' }, { id: 'a' }).settled,
    );
    expect(outcome).toEqual({ status: 'accepted', id: 'a', version: 1 });
    await one.waitForFunction(() => window.client.drafts.get('a')?.synced === true);
    await one.evaluate(() => window.client.drafts.update('a', { and: 'one' }).settled);
    await two.waitForFunction(() => window.client.drafts.get('a')?.data.and === 'one');
    // A refused change of one tab is seen, and can be discarded, in the other.
    await two.evaluate(() => window.client.drafts.update('a', {}, { ifVersion: 77 }).settled);
    await one.waitForFunction(() => window.client.rejected.get().length === 1);
    await one.evaluate(() =>
      window.client.rejected.discard(window.client.rejected.get()[0]?.key ?? ''),
    );
    await two.waitForFunction(() => window.client.rejected.get().length === 0);
    await one.close();
    await two.waitForFunction(() => window.client.queue.get().leader);
    await ready(two);
    const after = await two.evaluate(() => window.client.drafts.create({}, { id: 'b' }).settled);
    expect(after).toMatchObject({ status: 'accepted', version: 3 });
    expect(await connections()).toBe(1);
  });

  it('shows state and queue after a reload without a network, and sends it once', async () => {
    const page = await open();
    await ready(page);
    await page.evaluate(() => window.client.drafts.create({ old: true }, { id: 'd0' }).settled);
    await server.halt();
    await page.evaluate(async () => {
      const changes = Array.from({ length: 50 }, (_, n) =>
        window.client.drafts.create({ n }, { id: `d${n + 1}` }),
      );
      await Promise.all(changes.map(({ saved }) => saved));
    });
    await page.close();
    const again = await open();
    await again.waitForFunction(() => window.client.drafts.list().length === 51);
    expect(await again.evaluate(() => window.client.queue.get().length)).toBe(50);
    expect(await again.evaluate(() => window.client.drafts.get('d0')?.synced)).toBe(true);
    await server.start();
    await again.waitForFunction(() => window.client.queue.get().length === 0, null, {
      timeout: 30_000,
    });
    expect(await created()).toEqual(Array.from({ length: 51 }, (_, n) => `d${n}`));
  });

  it('queues while offline and settles when online', async () => {
    const page = await open();
    await ready(page);
    await context.setOffline(true);
    await page.evaluate(() => {
      for (let n = 0; n < 5; n += 1) {
        window.outcomes.push(window.client.drafts.create({ n }, { id: `d${n}` }).settled);
      }
    });
    await server.halt('SIGKILL');
    await server.start();
    await page.waitForFunction(() => window.client.connection.get().status === 'connecting');
    expect(await page.evaluate(() => window.client.drafts.list().length)).toBe(5);
    await context.setOffline(false);
    const outcomes = await page.evaluate(() => Promise.all(window.outcomes));
    expect(outcomes.every(({ status }) => status === 'accepted')).toBe(true);
    expect(await created()).toEqual(['d0', 'd1', 'd2', 'd3', 'd4']);
  });

  it('applies 1,000 queued commands exactly once, in order, while tabs are killed', async () => {
    // One command at a time, so that the queue lives through several tabs.
    const fast = server;
    server = await startServer('--in-flight', '1');
    onTestFinished(async () => {
      await server.stop();
      server = fast;
    });
    const writer = await open(false);
    await writer.evaluate(async () => {
      const changes = Array.from({ length: 1_000 }, (_, n) =>
        window.client.drafts.create({ n }, { id: `d${n}` }),
      );
      await Promise.all(changes.map(({ saved }) => saved));
    });
    await writer.close();
    let kills = 0;
    for (let left = 1_000, round = 0; left > 0; round += 1) {
      // Often two tabs, so that a killed leader has an heir, who is killed later.
      const page = await open();
      await page.waitForTimeout(5 + Math.random() * 120);
      const [oldest] = context.pages();
      if (oldest && (round < 3 || Math.random() < 0.7)) {
        // Its process is killed: no handler of the page runs any more.
        const session = await context.newCDPSession(oldest);
        void session.send('Page.crash').catch(() => {});
        await oldest.close();
        kills += 1;
      }
      const { length, durable } = (await context
        .pages()
        .at(-1)
        ?.evaluate(() => window.client.queue.get())
        .catch(() => undefined)) ?? { length: 1, durable: false };
      left = durable ? length : left;
      if (kills > 200) throw new Error('it does not end');
    }
    expect(kills).toBeGreaterThan(1);
    await until(async () => (await created()).length === 1_000, 'all effects');
    expect(await created()).toEqual(Array.from({ length: 1_000 }, (_, n) => `d${n}`));
  });

  it('says what it could not store, keeps the rest, and takes it on a retry', async () => {
    const page = await open();
    await ready(page);
    await server.halt();
    await page.evaluate(() => window.client.drafts.create({ n: 1 }, { id: 'a' }).saved);
    // A full disk aborts the transaction.
    await page.evaluate(() => {
      const put = IDBObjectStore.prototype.put;
      IDBObjectStore.prototype.put = function (...args) {
        if (!window.full) return put.apply(this, args);
        try {
          this.transaction.abort();
        } catch {}
        return {} as IDBRequest<IDBValidKey>;
      };
      window.full = true;
    });
    const outcome = await page.evaluate(
      () => window.client.drafts.create({ text: 'x'.repeat(200_000) }, { id: 'b' }).settled,
    );
    expect(outcome).toMatchObject({ status: 'rejected', code: 'STORAGE_FAILED' });
    expect(await page.evaluate(() => window.client.drafts.list().map(({ id }) => id))).toEqual([
      'a',
    ]);
    await page.evaluate(() => {
      window.full = false;
    });
    await page.evaluate(() => {
      const change = window.client.rejected.retry(window.client.rejected.get()[0]?.key ?? '');
      if (change) window.outcomes.push(change.settled);
    });
    await server.start();
    await page.evaluate(() => Promise.all(window.outcomes));
    expect(await created()).toEqual(['a', 'b']);
  });

  it('works in memory where IndexedDB can not be opened', async () => {
    await context.addInitScript(() => {
      indexedDB.open = () => {
        throw new DOMException('not here', 'SecurityError');
      };
    });
    const page = await open();
    await ready(page);
    expect(await page.evaluate(() => window.client.queue.get().durable)).toBe(false);
    const outcome = await page.evaluate(() => window.client.drafts.create({}, { id: 'a' }).settled);
    expect(outcome.status).toBe('accepted');
  });

  it.each([-1, 1])('does not mind a clock that is wrong by %i day', async (days) => {
    await context.addInitScript((ms) => {
      const now = Date.now;
      Date.now = () => now() + ms;
    }, days * 86_400_000);
    const page = await open();
    await ready(page);
    const [first, second] = await page.evaluate(() =>
      Promise.all([
        window.client.drafts.create({ n: 1 }).settled,
        window.client.drafts.create({ n: 2 }).settled,
      ]),
    );
    expect([first.status, second.status]).toEqual(['accepted', 'accepted']);
    const shown = await page.evaluate(() => window.client.drafts.list().map(({ data }) => data.n));
    expect(shown).toEqual([1, 2]);
  });

  it('survives a hostile server without a crash and without losing its queue', async () => {
    const hostile = new HostileServer();
    await hostile.start();
    const page = await open(true, sign(user), hostile.url);
    await page.evaluate(async () => {
      const changes = Array.from({ length: 20 }, (_, n) =>
        window.client.drafts.create({ n }, { id: `d${n}` }),
      );
      window.outcomes = changes.map(({ settled }) => settled);
      await Promise.all(changes.map(({ saved }) => saved));
    });
    // The back-off of so many failures would take minutes; the network "coming back" ends it.
    await page.evaluate(() => void setInterval(() => dispatchEvent(new Event('online')), 100));
    await until(() => hostile.visits >= HostileServer.tricks.length, 'all tricks', 60_000);
    expect(await page.evaluate(() => window.client.queue.get().length)).toBe(20);
    hostile.passTo(server.address);
    const outcomes = await page.evaluate(() => Promise.all(window.outcomes));
    expect(outcomes.every(({ status }) => status === 'accepted')).toBe(true);
    expect(await created()).toEqual(Array.from({ length: 20 }, (_, n) => `d${n}`));
    await page.close();
    await hostile.stop();
  });
});

/** Speaks nonsense to each visitor in turn, then becomes a proxy to an honest server. */
class HostileServer {
  readonly #sockets = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    handleProtocols: () => 'draftwire.v1',
  });
  #front: TcpServer | undefined;
  #honest: string | undefined;
  visits = 0;
  url = '';

  static readonly tricks: ((told: object) => unknown[])[] = [
    () => ['no JSON', '[]', '{"type":1}'],
    () => [{ type: 'WELCOME', payload: {} }],
    (told) => [{ type: 'WELCOME', payload: { ...told, userId: 'somebody' } }],
    (told) => [
      { type: 'WELCOME', payload: told },
      { type: 'ACK', payload: { mutationId: 999 } },
      { type: 'ACK', payload: { mutationId: 1, id: 'foreign', seq: 1 } },
    ],
    (told) => [
      { type: 'WELCOME', payload: told },
      { type: 'ACK', payload: { mutationId: 1, id: 'd0', version: 1, seq: 50 } },
    ],
    (told) => [
      { type: 'WELCOME', payload: told },
      {
        type: 'SNAPSHOT',
        seq: 0,
        payload: { drafts: [{ id: '__proto__' }], pending: [], more: false },
      },
    ],
    (told) => [
      { type: 'WELCOME', payload: told },
      { type: 'DRAFT_CREATED', seq: 7, payload: { document: null } },
    ],
    (told) => [{ type: 'WELCOME', payload: { ...told, lastMutationId: -1 } }],
    (told) => [
      {
        type: 'WELCOME',
        payload: { ...told, limits: { inFlight: 0, frameBytes: 0, documentBytes: 0 } },
      },
    ],
    (told) => [{ type: 'WELCOME', payload: told }, `"${'x'.repeat(8_000_000)}"`],
    (told) => [{ type: 'WELCOME', payload: told }, Buffer.from([1, 2, 3])],
  ];

  async start(): Promise<void> {
    this.#sockets.on('connection', (socket, request) => {
      const clientId = new URL(request.url ?? '', 'http://x').searchParams.get('clientId');
      const told = {
        connectionId: 'c',
        userId: user,
        clientId,
        epoch: 'hostile',
        seq: 0,
        at: '',
        lastMutationId: 0,
        recovery: 'snapshot',
        heartbeatMs: 25_000,
        expiresAt: '',
        expiresInMs: 1e6,
        limits: { inFlight: 64, frameBytes: 524_288, documentBytes: 262_144 },
      };
      const trick = HostileServer.tricks[this.visits % HostileServer.tricks.length];
      this.visits += 1;
      for (const frame of trick?.(told) ?? []) {
        const raw = typeof frame === 'string' || Buffer.isBuffer(frame);
        socket.send(raw ? frame : JSON.stringify(frame));
      }
      setTimeout(() => socket.terminate(), 50);
    });
    await new Promise<void>((done) => this.#sockets.once('listening', done));
    const own = this.#sockets.address() as AddressInfo;
    this.#front = createTcp((socket) => {
      const [host = own.address, port = own.port] = this.#honest?.split(':') ?? [];
      const other = connectTcp(Number(port), host);
      socket.pipe(other).pipe(socket);
      socket.on('error', () => other.destroy());
      other.on('error', () => socket.destroy());
    });
    await new Promise<void>((done) => this.#front?.listen(0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${(this.#front.address() as AddressInfo).port}`;
  }

  passTo(address: string): void {
    this.#honest = address;
  }

  async stop(): Promise<void> {
    this.#front?.close();
    this.#sockets.close();
  }
}
