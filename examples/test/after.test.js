/** What the polling app can't have: edits that arrive at once, and a server that may be killed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { after, until } from './worlds.js';

test('an edit is on the other device at once', async (t) => {
  const world = await after();
  t.after(() => world.stop());
  t.after(() => world.closeDevices());
  const [phone, desk] = [await world.device('ann'), await world.device('ann')];
  const id = phone.orders.create({ n: 0 });
  await until(() => desk.orders.drafts().length === 1, 'the draft');
  const times = [];
  for (let n = 1; n <= 30; n += 1) {
    const begun = performance.now();
    const arrived = new Promise((resolve) => {
      const stop = desk.orders.subscribe(() => {
        if (desk.orders.drafts()[0].data.n !== n) return;
        stop();
        resolve();
      });
    });
    phone.orders.update(id, { n });
    await arrived;
    times.push(performance.now() - begun);
  }
  const median = times.sort((a, b) => a - b)[15];
  t.diagnostic(`edit to the other device: ${median.toFixed(1)} ms at the median of 30`);
  assert.ok(median < 500);
});

test('kill -9 of the server loses nothing and doubles nothing', async (t) => {
  const world = await after();
  t.after(() => world.stop());
  t.after(() => world.closeDevices());
  const [phone, desk] = [await world.device('ann'), await world.device('ann')];
  await until(() => phone.orders.status().connected, 'connected');
  let n = 0;
  const write = async (count) => {
    for (const end = n + count; n < end; n += 1) {
      phone.orders.create({ n });
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  for (let round = 0; round < 3; round += 1) {
    const writing = write(60);
    await until(() => n % 60 > 20, 'some of them written');
    await world.draftwire.kill('SIGKILL');
    await writing;
    await world.draftwire.start();
  }
  await until(() => phone.orders.status().waiting === 0, 'settled');
  await until(() => desk.orders.drafts().length === 180, 'all on the other device');
  const numbers = new Set(desk.orders.drafts().map(({ data }) => data.n));
  assert.equal(numbers.size, 180);
  assert.deepEqual(phone.orders.status().refused, []);
});
