/**
 * What the app promises its users, checked in the same words before, in between and after. Owns the
 * promises; never knows which side it runs on.
 */

import assert from 'node:assert/strict';
import { after as afterAll, afterEach, before as beforeAll, describe, test } from 'node:test';
import { after, before, between, until, within } from './worlds.js';

let users = 0;
const newUser = () => `user-${++users}`;
const data = (documents) => documents.map((document) => document.data);
const ids = (documents) => documents.map(({ id }) => id);
/** The same state on both, and nothing waits. */
const inStep = (one, other) =>
  [one, other].every(({ orders }) => orders.status().waiting === 0) &&
  ['drafts', 'pending'].every(
    (name) => JSON.stringify(state(one, name)) === JSON.stringify(state(other, name)),
  );
const state = ({ orders }, name) =>
  orders[name]()
    .map(({ id, data }) => [id, sorted(data)])
    .sort();
/** The same members in the same order, whoever added them first. */
const sorted = (value) =>
  typeof value === 'object' && value !== null
    ? Object.fromEntries(
        Object.entries(value)
          .map(([name, inner]) => [name, sorted(inner)])
          .sort(([a], [b]) => (a < b ? -1 : 1)),
      )
    : value;

for (const [name, start] of Object.entries({ before, between, after })) {
  describe(name, () => {
    let world;
    beforeAll(async () => {
      world = await start();
    });
    afterEach(() => world.closeDevices());
    afterAll(() => world.stop());

    async function pair() {
      const user = newUser();
      const devices = [await world.device(user), await world.device(user)];
      await until(() => devices.every(({ orders }) => orders.status().connected), 'connected');
      return [...devices, user];
    }

    test('what one device writes, the other shows', async () => {
      const [phone, desk] = await pair();
      let calls = 0;
      const stop = desk.orders.subscribe(() => {
        calls += 1;
      });
      const id = phone.orders.create({ customer: 'Miller', lines: {} });
      assert.deepEqual(data(phone.orders.drafts()), [{ customer: 'Miller', lines: {} }]);
      await until(() => desk.orders.drafts().length === 1, 'the draft');
      assert.ok(calls > 0);
      stop();
      desk.orders.update(id, { note: 'by Friday' });
      await until(() => phone.orders.drafts()[0]?.data.note === 'by Friday', 'the note');
      await until(() => phone.orders.drafts()[0].synced, 'in step');
    });

    test('edits of two devices to one draft merge, field by field and line by line', async () => {
      const [phone, desk] = await pair();
      const id = phone.orders.create({ customer: 'Miller', lines: { a: { quantity: 1 } } });
      await until(() => desk.orders.drafts().length === 1, 'the draft');
      phone.network.cut();
      desk.network.cut();
      phone.orders.update(id, { note: 'from the phone', lines: { b: { quantity: 2 } } });
      desk.orders.update(id, { customer: 'Smith', lines: { a: { quantity: 5 } } });
      phone.network.mend();
      desk.network.mend();
      await until(() => inStep(phone, desk), 'both in step');
      assert.deepEqual(sorted(phone.orders.drafts()[0].data), {
        customer: 'Smith',
        lines: { a: { quantity: 5 }, b: { quantity: 2 } },
        note: 'from the phone',
      });
    });

    test('changes made offline are seen at once, wait, and settle in order', async () => {
      const [phone, desk] = await pair();
      phone.network.cut();
      await until(() => !phone.orders.status().connected, 'offline');
      const id = phone.orders.create({ n: 0 });
      for (let n = 1; n <= 20; n += 1) phone.orders.update(id, { n, [`m${n}`]: n });
      const pendingId = phone.orders.convert(id);
      phone.orders.create({ customer: 'Smith' });
      assert.equal(phone.orders.status().waiting, 23);
      assert.deepEqual(data(phone.orders.drafts()), [{ customer: 'Smith' }]);
      assert.equal(phone.orders.pending()[0].data.n, 20);
      assert.equal(phone.orders.pending()[0].synced, false);
      phone.network.mend();
      await until(() => inStep(phone, desk), 'both in step');
      assert.deepEqual(ids(desk.orders.pending()), [pendingId]);
      assert.equal(desk.orders.pending()[0].data.n, 20);
      assert.deepEqual(phone.orders.status().refused, []);
    });

    test('what waits survives that the app is closed', async () => {
      const [phone, desk] = await pair();
      phone.network.cut();
      phone.orders.create({ customer: 'Miller' });
      await phone.reopen();
      await until(() => phone.orders.drafts().length === 1, 'the draft after opening');
      assert.equal(phone.orders.status().waiting, 1);
      phone.network.mend();
      await until(() => inStep(phone, desk), 'both in step');
      assert.deepEqual(data(desk.orders.drafts()), [{ customer: 'Miller' }]);
    });

    test('what is deleted stays deleted, also for a device that edits it offline', async () => {
      const [phone, desk] = await pair();
      const id = phone.orders.create({ customer: 'Miller' });
      const kept = phone.orders.create({ customer: 'Smith' });
      await until(() => desk.orders.drafts().length === 2, 'the drafts');
      desk.network.cut();
      phone.orders.remove(id);
      await until(() => phone.orders.status().waiting === 0, 'deleted');
      desk.orders.update(id, { note: 'too late' });
      desk.orders.update(kept, { note: 'in time' });
      desk.network.mend();
      await until(() => inStep(phone, desk), 'both in step');
      await desk.reopen();
      await until(() => desk.orders.status().connected, 'connected');
      assert.deepEqual(ids(desk.orders.drafts()), [kept]);
      assert.deepEqual(data(phone.orders.drafts()), [{ customer: 'Smith', note: 'in time' }]);
      const { refused } = desk.orders.status();
      assert.deepEqual(ids(refused), [id]);
      desk.orders.discard(refused[0].key);
      assert.deepEqual(desk.orders.status().refused, []);
    });

    for (const kind of ['create', 'update', 'remove', 'convert']) {
      test(`nothing happens twice when an answer is lost: ${kind}`, async () => {
        const [phone, desk, user] = await pair();
        const seen = (collection, id) => desk.orders[collection]().find((one) => one.id === id);
        /** Writes once, and says how the other device tells that it has arrived. */
        const write = (id) => {
          const { orders } = phone;
          const result = kind === 'create' ? orders.create({ n: 2 }) : orders[kind](id, { n: 2 });
          if (kind === 'create') return () => seen('drafts', result);
          if (kind === 'update') return () => seen('drafts', id)?.data.n === 2;
          if (kind === 'remove') return () => !seen('drafts', id);
          return () => seen('pending', result);
        };
        let isLost = false;
        let rounds = 0;
        while (!isLost && rounds < 10) {
          rounds += 1;
          const id = phone.orders.create({ n: 1 });
          await until(() => seen('drafts', id), 'the draft');
          await until(() => phone.orders.status().waiting === 0, 'settled');
          phone.network.deafen();
          // Where a poll is under way just now its answer is the one that is lost: then once more.
          isLost = await within(write(id), 1_000);
          if (isLost) assert.equal(phone.orders.status().waiting, 1);
          phone.network.cut();
          phone.network.mend();
          await until(() => phone.orders.status().waiting === 0, 'settled again');
        }
        assert.ok(isLost);
        await until(() => inStep(phone, desk), 'both in step');
        const drafts = { create: 2 * rounds, update: rounds, remove: 0, convert: 0 }[kind];
        assert.equal(desk.orders.drafts().length, drafts);
        assert.equal(desk.orders.pending().length, kind === 'convert' ? rounds : 0);
        assert.deepEqual(phone.orders.status().refused, []);
        assert.equal(await world.takeOrders(user), desk.orders.pending().length);
      });
    }

    test('a change that is too large is refused, and holds up nothing', async () => {
      const [phone, desk] = await pair();
      phone.network.cut();
      phone.orders.create({ n: 1 });
      const large = phone.orders.create({ text: 'x'.repeat(2_000_000) });
      phone.orders.create({ n: 2 });
      phone.network.mend();
      await until(() => inStep(phone, desk), 'both in step');
      assert.deepEqual(
        data(desk.orders.drafts())
          .map(({ n }) => n)
          .sort(),
        [1, 2],
      );
      assert.deepEqual(ids(phone.orders.status().refused), [large]);
    });

    test('the backend takes a pending order in, and the devices see it', async () => {
      const [phone, desk, user] = await pair();
      phone.orders.convert(phone.orders.create({ customer: 'Miller' }));
      await until(() => phone.orders.status().waiting === 0, 'settled');
      assert.equal(await world.takeOrders(user), 1);
      for (const { orders } of [phone, desk]) {
        await until(() => orders.pending()[0]?.data.phase === 'received', 'received');
        assert.equal(orders.pending()[0].data.customer, 'Miller');
      }
    });

    test('devices in a bad network end in step', { timeout: 60_000 }, async () => {
      const [phone, desk] = await pair();
      let seed = 20_261;
      const random = (below) => {
        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
        return Math.floor((seed / 2_147_483_648) * below);
      };
      let created = 0;
      for (let step = 0; step < 120; step += 1) {
        const { orders, network } = random(2) === 0 ? phone : desk;
        const drafts = orders.drafts();
        const some = drafts[random(drafts.length)]?.id;
        const dice = random(20);
        if (dice === 0) network.cut();
        else if (dice === 1) network.deafen();
        else if (dice < 6) network.mend();
        else if (dice < 9 || some === undefined) created += orders.create({ step }) ? 1 : 0;
        else if (dice < 17) orders.update(some, { [`m${random(3)}`]: step });
        else if (dice < 19) orders.remove(some);
        else orders.convert(some);
        await new Promise((resolve) => setTimeout(resolve, random(25)));
      }
      for (const { network } of [phone, desk]) {
        network.cut();
        network.mend();
      }
      await until(() => inStep(phone, desk), 'both in step', 40_000);
      const all = [...phone.orders.drafts(), ...phone.orders.pending()];
      assert.ok(all.length > 0 && all.length <= created);
      assert.equal(new Set(data(all).map(({ step }) => step)).size, all.length);
    });
  });

  test(`${name}: a token that ends is replaced, and a failed login is tried again`, async (t) => {
    const world = await start({ tokenSeconds: 3 });
    t.after(() => world.stop());
    t.after(() => world.closeDevices());
    const user = newUser();
    const [phone, desk] = [await world.device(user), await world.device(user)];
    desk.network.cut();
    await until(() => phone.orders.status().connected, 'connected');
    await until(() => desk.logins >= 1, 'a failed login');
    desk.network.mend();
    await until(() => desk.orders.status().connected, 'connected after a failed login');
    const { logins } = phone;
    await until(() => phone.logins > logins, 'another token');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    phone.orders.create({ customer: 'Miller' });
    await until(() => desk.orders.drafts().length === 1, 'the draft');
    assert.equal(phone.orders.status().connected, true);
  });
}
