// Drafts and pending orders between devices on `ws`: live, retried, resumed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Device, call, sign, startServer } from './harness.mjs';

let server;
before(async () => { server = await startServer(); });
after(async () => { assert.equal(await server.stop(), 0); });

const events = (device) => device.inbox.frames.filter((frame) => 'seq' in frame && frame.type !== 'SNAPSHOT');

test('what one device does arrives on two others, in the same order', async () => {
  const token = await sign({ sub: 'anna' });
  const [phone, tablet, desk] = await Promise.all(
    ['phone', 'tablet', 'desk'].map((name) => Device.open(server, token, name)));
  await phone.command('DRAFT_CREATE', { id: 'd1', data: { customer: 'Weiß', lines: {} } }, 1);
  // Two devices change different lines at the same time.
  await Promise.all([
    tablet.command('DRAFT_UPDATE', { id: 'd1', patch: { lines: { a: { quantity: 2 } } } }, 1),
    desk.command('DRAFT_UPDATE', { id: 'd1', patch: { lines: { b: { quantity: 5 } } } }, 1),
  ]);
  const converted = await phone.command('DRAFT_CONVERT', { id: 'd1', pendingId: 'p1' }, 2);
  assert.equal(converted.payload.id, 'p1');
  await phone.command('PENDING_DELETE', { id: 'p1' }, 3);

  const all = [phone, tablet, desk];
  for (const device of all) await device.inbox.find('PENDING_DELETED');
  const [first, ...others] = all.map(events);
  for (const other of others) assert.deepEqual(other, first);
  assert.deepEqual(first.map((frame) => frame.seq), [1, 2, 3, 4, 5]);
  assert.deepEqual(first.map((frame) => frame.type),
    ['DRAFT_CREATED', 'DRAFT_UPDATED', 'DRAFT_UPDATED', 'DRAFT_CONVERTED', 'PENDING_DELETED']);
  const { payload } = first[3];
  assert.equal(payload.draftId, 'd1');
  assert.deepEqual(payload.document.data,
    { customer: 'Weiß', lines: { a: { quantity: 2 }, b: { quantity: 5 } } });
  assert.deepEqual(first[0].payload.origin, { clientId: 'phone', mutationId: 1 });
  assert.match(first[0].timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

  // The sender has its own event before its ACK.
  const frames = phone.inbox.frames;
  for (const ack of frames.filter((frame) => frame.type === 'ACK')) {
    const event = frames.findIndex((frame) => frame.seq === ack.payload.seq && 'payload' in frame
      && frame.payload.origin);
    assert.ok(event >= 0 && event < frames.indexOf(ack), JSON.stringify(ack));
  }
  for (const device of all) await device.close();
});

test('a command sent again with its mutationId changes nothing', async () => {
  const device = await Device.open(server, await sign({ sub: 'berta' }), 'phone');
  const create = { id: 'd1', data: { n: 1 } };
  const first = await device.command('DRAFT_CREATE', create, 1);
  const again = await device.command('DRAFT_CREATE', create, 1);
  assert.equal(first.type, 'ACK');
  assert.deepEqual(again.payload, { ...first.payload, duplicate: true });
  const reused = await device.command('DRAFT_CREATE', { id: 'd2', data: {} }, 1);
  assert.equal(reused.payload.code, 'MUTATION_REUSED');
  const ahead = await device.command('DRAFT_CREATE', { id: 'd3', data: {} }, 7);
  assert.deepEqual([ahead.payload.code, ahead.payload.expected], ['OUT_OF_ORDER', 2]);
  assert.equal(events(device).length, 1);
  const { json } = await call(server, 'GET', '/api/drafts', await sign({ sub: 'berta' }));
  assert.deepEqual(json.items.map((document) => [document.id, document.version]), [['d1', 1]]);
  await device.close();
});

test('after terminate() a device resumes from its position and sends again what was open', async () => {
  const token = await sign({ sub: 'carla' });
  const other = await Device.open(server, token, 'desk');
  let phone = await Device.open(server, token, 'phone');
  // With so much there already, what was missed is less than a snapshot.
  await other.command('DRAFT_CREATE', { id: 'large', data: { text: 'x'.repeat(20_000) } }, 1);
  await phone.command('DRAFT_CREATE', { id: 'd1', data: {} }, 1);
  const last = events(phone).at(-1);
  phone.send('DRAFT_UPDATE', { id: 'd1', patch: { phone: true } }, 2);
  phone.socket.terminate();
  await phone.closed;
  for (let number = 2; number <= 4; number += 1) {
    await other.command('DRAFT_CREATE', { id: `desk-${number}`, data: {} }, number);
  }
  const position = `&epoch=${phone.welcome.epoch}&seq=${last.seq}&at=${last.timestamp}`;
  phone = await Device.open(server, token, 'phone', position);
  assert.equal(phone.welcome.recovery, 'delta');
  assert.ok([1, 2].includes(phone.welcome.lastMutationId));
  await phone.command('DRAFT_UPDATE', { id: 'd1', patch: { phone: true } }, 2);
  assert.ok(!phone.inbox.frames.some((frame) => frame.type === 'SNAPSHOT'));
  assert.deepEqual(events(phone).map((frame) => frame.seq), [3, 4, 5, 6]);
  const fromPhone = events(phone).filter((frame) => frame.payload.origin.clientId === 'phone');
  assert.equal(fromPhone.length, 1, 'applied once');
  await Promise.all([phone.close(), other.close()]);
});

test('a newcomer gets a snapshot, one with sync=live nothing of the past', async () => {
  const token = await sign({ sub: 'dora' });
  const writer = await Device.open(server, token, 'writer');
  for (let number = 1; number <= 40; number += 1) {
    writer.send('PENDING_CREATE', { id: `p${number}`, data: { text: 'x'.repeat(10_000) } }, number);
  }
  await writer.inbox.ack(40);
  const newcomer = await Device.open(server, token, 'newcomer');
  const last = await newcomer.inbox.find(
    (frame) => frame.type === 'SNAPSHOT' && frame.payload.more === false);
  const parts = newcomer.inbox.frames.filter((frame) => frame.type === 'SNAPSHOT');
  assert.ok(parts.length > 1, 'in parts');
  assert.equal(last.seq, 40);
  assert.equal(new Set(parts.flatMap((part) => part.payload.pending.map((one) => one.id))).size, 40);
  const live = await Device.open(server, token, 'live', '&sync=live');
  assert.equal(live.welcome.recovery, 'live');
  await writer.command('PENDING_DELETE', { id: 'p1' }, 41);
  assert.equal((await live.inbox.find((frame) => 'seq' in frame)).seq, 41);
  await Promise.all([writer, newcomer, live].map((device) => device.close()));
});

test('the newer of two connections of one device stays', async () => {
  const token = await sign({ sub: 'emma' });
  const older = await Device.open(server, token, 'phone');
  const newer = await Device.open(server, token, 'phone');
  assert.equal((await older.closed).code, 4003);
  assert.equal((await newer.command('SKIP', {}, 1)).type, 'ACK');
  await newer.close();
});

test('PING, nonsense and binary frames', async () => {
  const device = await Device.open(server, await sign({ sub: 'frida' }), 'phone');
  device.send('PING', {});
  assert.deepEqual((await device.inbox.find('PONG')).payload, {});
  device.socket.send('{"type":');
  assert.equal((await device.inbox.find('ERROR')).payload.code, 'BAD_FRAME');
  const unknown = await device.command('DRAFT_EXPLODE', {}, 1);
  assert.equal(unknown.payload.code, 'INVALID');
  device.socket.send(Buffer.from([1, 2, 3]));
  assert.equal((await device.closed).code, 1003);
});
