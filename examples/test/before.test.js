/**
 * What only the polling app does: how often it asks, and what it can't promise. The weaknesses are
 * written down here as they are; docs/from-polling.md names them.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOrders } from '../before/client/orders.js';
import { before, localStorage, until } from './worlds.js';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const DAYS_31 = 31 * 24 * 60 * 60 * 1000;

/** As much of a browser's window as the app listens to. */
function makePage() {
  const page = new EventTarget();
  page.navigator = { onLine: true };
  page.document = new EventTarget();
  page.document.visibilityState = 'visible';
  page.show = (visibilityState) => {
    page.document.visibilityState = visibilityState;
    page.document.dispatchEvent(new Event('visibilitychange'));
  };
  page.setOnline = (onLine) => {
    page.navigator.onLine = onLine;
    page.dispatchEvent(new Event(onLine ? 'online' : 'offline'));
  };
  return page;
}

test('an edit of another device waits for the next poll, or for the page to come back', async (t) => {
  const world = await before();
  t.after(() => world.stop());
  t.after(() => world.closeDevices());
  const page = makePage();
  const phone = await world.device('ann');
  const desk = await world.device('ann', { pollMs: 15_000, page });
  await until(() => desk.orders.status().connected, 'connected');
  phone.orders.create({ customer: 'Miller' });
  await pause(1_000);
  assert.equal(desk.orders.drafts().length, 0);
  page.setOnline(false);
  assert.equal(desk.orders.status().connected, false);
  page.setOnline(true);
  await until(() => desk.orders.drafts().length === 1, 'the draft', 1_000);
});

test('a hidden page asks nothing until it is seen', async (t) => {
  const world = await before();
  t.after(() => world.stop());
  t.after(() => world.closeDevices());
  const page = makePage();
  const phone = await world.device('ann');
  const desk = await world.device('ann', { page });
  await until(() => desk.orders.status().connected, 'connected');
  page.show('hidden');
  await pause(300);
  phone.orders.create({ customer: 'Miller' });
  await pause(500);
  assert.equal(desk.orders.drafts().length, 0);
  page.show('visible');
  await until(() => desk.orders.drafts().length === 1, 'the draft', 1_000);
});

test('a device that was away for longer than tombstones are kept is given everything anew', async (t) => {
  let later = 0;
  const world = await before({ now: () => Date.now() + later });
  t.after(() => world.stop());
  t.after(() => world.closeDevices());
  const [phone, desk] = [await world.device('ann'), await world.device('ann')];
  const id = phone.orders.create({ customer: 'Miller' });
  await until(() => desk.orders.drafts().length === 1, 'the draft');
  desk.network.cut();
  phone.orders.remove(id);
  await until(() => phone.orders.status().waiting === 0, 'deleted');
  later = DAYS_31;
  desk.network.mend();
  await until(() => desk.orders.drafts().length === 0, 'gone');
});

test('weakness: what was deleted comes back by a create whose answer was lost a month ago', async (t) => {
  let later = 0;
  const world = await before({ now: () => Date.now() + later });
  t.after(() => world.stop());
  t.after(() => world.closeDevices());
  const [phone, desk] = [await world.device('ann'), await world.device('ann')];
  await until(() => phone.orders.status().connected, 'connected');
  phone.network.deafen();
  const id = phone.orders.create({ customer: 'Miller' });
  await until(() => desk.orders.drafts().length === 1, 'the draft');
  phone.network.cut();
  desk.orders.remove(id);
  await until(() => desk.orders.status().waiting === 0, 'deleted');
  later = DAYS_31;
  await pause(300);
  phone.network.mend();
  await until(() => desk.orders.drafts()[0]?.id === id, 'the deleted draft');
});

test('weakness: of two tabs with one storage, the second overwrites what waits in the first', () => {
  const storage = localStorage();
  const options = { url: 'http://127.0.0.1:1', userId: 'ann', storage, getToken: async () => '' };
  const [one, other] = [createOrders(options), createOrders(options)];
  one.create({ tab: 1 });
  other.create({ tab: 2 });
  const reopened = createOrders(options).drafts();
  assert.deepEqual(
    reopened.map(({ data }) => data),
    [{ tab: 2 }],
  );
});
