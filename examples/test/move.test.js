/** The steps of docs/from-polling.md: the bell, old and new apps side by side, the import. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { hearBell, withBell } from '../after/move/bell.js';
import { chooseOrders } from '../after/move/choose.js';
import { importUser } from '../after/move/import.js';
import { createStore } from '../before/server/store.js';
import { after, before, between, startDraftwire, until } from './worlds.js';

for (const flags of [['--relay'], []]) {
  test(`the bell: the old app shows an edit at once (serve ${flags})`, async (t) => {
    const draftwire = await startDraftwire(...flags);
    t.after(() => draftwire.stop());
    const world = await before({ wrap: (store) => withBell(store, draftwire.admin) });
    t.after(() => world.stop());
    t.after(() => world.closeDevices());
    const slow = { pollMs: 15_000 };
    const [phone, desk] = [await world.device('ann', slow), await world.device('ann', slow)];
    const options = { url: draftwire.url, userId: 'ann', getToken: desk.getToken, WebSocket };
    const stop = hearBell(options, () => desk.orders.refresh());
    t.after(stop);
    await until(() => desk.orders.status().connected, 'connected');
    // A ring before the bell is heard is no ring: writes until one is.
    let written = 0;
    await until(
      () => {
        if (written < 100 && phone.orders.status().waiting === 0) {
          phone.orders.create({ n: written });
          written += 1;
        }
        return desk.orders.drafts().length > 0;
      },
      'a draft by the bell',
      5_000,
    );
  });
}

test('old and new apps of one user see the same while both are in use', async (t) => {
  const world = await between();
  t.after(() => world.stop());
  t.after(() => world.closeDevices());
  const [old, fresh] = [await world.device('ann'), await world.newDevice('ann')];
  const id = old.orders.create({ customer: 'Miller', lines: { a: { quantity: 1 } } });
  await until(() => fresh.orders.drafts().length === 1, 'the draft on the new app');
  fresh.orders.update(id, { lines: { b: { quantity: 2 } } });
  old.orders.update(id, { note: 'by Friday' });
  for (const { orders } of [old, fresh]) {
    await until(() => {
      const [draft] = orders.drafts();
      return draft?.data.note && draft.data.lines.a && draft.data.lines.b;
    }, 'both edits');
  }
  const pendingId = fresh.orders.convert(id);
  await until(() => old.orders.pending()[0]?.id === pendingId, 'the pending order on the old app');
  assert.equal(old.orders.drafts().length, 0);
});

test('installed apps keep their queue when the backend moves, and when they are replaced', async (t) => {
  const world = await before();
  t.after(() => world.stop());
  t.after(() => world.closeDevices());
  const draftwire = await startDraftwire();
  t.after(() => draftwire.stop());
  const device = await world.device('ann');
  const id = device.orders.create({ customer: 'Miller' });
  device.orders.create({ customer: 'Smith' });
  await until(() => device.orders.status().waiting === 0, 'settled');
  device.network.cut();
  device.orders.update(id, { note: 'written offline' });
  const pendingId = device.orders.convert(id);

  assert.equal(await importUser(draftwire.admin, world.store, 'ann'), 2);
  world.moveTo(draftwire);

  const { url } = device.network;
  const { storage, getToken } = device;
  const choose = async () => {
    await device.orders.stop();
    device.orders = chooseOrders(
      { url, userId: 'ann', getToken, storage, pollMs: 100 },
      { url: draftwire.url, userId: 'ann', getToken, WebSocket },
    );
    device.orders.start();
  };
  await choose();
  assert.equal(device.orders.status().waiting, 2);
  assert.equal(device.orders.pending()[0].data.note, 'written offline');
  device.network.mend();
  for (const isNew of [false, true]) {
    await until(() => device.orders.status().waiting === 0, 'settled');
    await until(() => device.orders.status().connected, 'connected');
    assert.equal(device.orders.refresh === undefined, isNew);
    assert.deepEqual(
      device.orders.pending().map(({ id, data }) => [id, data]),
      [[pendingId, { customer: 'Miller', note: 'written offline' }]],
    );
    assert.deepEqual(
      device.orders.drafts().map(({ data }) => data),
      [{ customer: 'Smith' }],
    );
    assert.deepEqual(device.orders.status().refused, []);
    if (!isNew) await choose();
  }
});

test('the import brings everything once, and can be repeated', async (t) => {
  const store = createStore();
  const write = (change) => store.apply('ann', { key: crypto.randomUUID(), ...change });
  const collection = 'drafts';
  for (const id of ['a', 'b', 'c', 'd']) write({ type: 'create', collection, id, data: { id } });
  write({ type: 'delete', collection, id: 'b' });
  write({ type: 'convert', collection, id: 'c', pendingId: 'order-1' });
  const world = await after();
  t.after(() => world.stop());
  t.after(() => world.closeDevices());
  const { admin } = world.draftwire;
  assert.equal(await importUser(admin, store, 'ann'), 3);
  const device = await world.device('ann');
  await until(() => device.orders.drafts().length === 2, 'the drafts');
  assert.deepEqual(
    device.orders.drafts().map(({ id, data }) => [id, data]),
    [
      ['a', { id: 'a' }],
      ['d', { id: 'd' }],
    ],
  );
  assert.deepEqual(
    device.orders.pending().map(({ id, data }) => [id, data]),
    [['order-1', { id: 'c' }]],
  );
  device.orders.remove('a');
  device.orders.update('d', { note: 'new' });
  await until(() => device.orders.status().waiting === 0, 'settled');
  await importUser(admin, store, 'ann');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual(
    device.orders.drafts().map(({ data }) => data),
    [{ id: 'd', note: 'new' }],
  );
});
