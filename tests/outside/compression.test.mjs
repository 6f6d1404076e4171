// permessage-deflate (RFC 7692) with `ws`: agreed on or not, and the same frames for everybody.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { Device, sign, startServer } from './harness.mjs';

let server;
before(async () => { server = await startServer('--compression'); });
after(async () => { assert.equal(await server.stop(), 0); });

const lines = Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`l${n}`, { sku: `SKU-${n}`, quantity: n % 7 }]));

/** Bytes that came over a device's socket so far. */
const bytesRead = (device) => device.socket._socket.bytesRead;

test('what is agreed on depends on what is offered', async () => {
  const token = await sign({ sub: 'anna' });
  const agreed = (perMessageDeflate) => new Promise((resolve, reject) => {
    const protocols = ['draftwire.v1', `draftwire.bearer.${token}`];
    const socket = new WebSocket(`${server.ws}/ws/realtime?clientId=a`, protocols, { perMessageDeflate });
    socket.once('upgrade', (answer) => {
      resolve(answer.headers['sec-websocket-extensions']);
      socket.once('open', () => socket.terminate());
    });
    // `ws` refuses an answer that its offer does not allow.
    socket.once('error', reject);
  });
  const both = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
  assert.equal(await agreed(false), undefined);
  assert.equal(await agreed(true), both);
  assert.equal(await agreed({ serverMaxWindowBits: 10 }), `${both}; server_max_window_bits=10`);
});

test('devices with and without compression see the same events, and one of them fewer bytes', async () => {
  const token = await sign({ sub: 'berta' });
  const open = (name, perMessageDeflate) => Device.open(server, token, name, '', { perMessageDeflate });
  const plain = await open('plain', false);
  const small = await open('small', { threshold: 0, serverMaxWindowBits: 9 });
  const large = await open('large', { threshold: 0 });
  const all = [plain, small, large];
  const before = all.map(bytesRead);
  for (const [index, device] of all.entries()) {
    await device.command('DRAFT_CREATE', { id: `d${index}`, data: { lines } }, 1);
    await device.command('DRAFT_UPDATE', { id: `d${index}`, patch: { note: 'ä'.repeat(3_000) } }, 2);
  }
  const events = await Promise.all(all.map(async (device) => {
    await device.inbox.find((frame) => frame.seq === 6 && frame.type === 'DRAFT_UPDATED');
    return device.inbox.frames.filter((frame) => frame.type.startsWith('DRAFT_'));
  }));
  assert.equal(events[0].length, 6);
  assert.deepEqual(events[1], events[0]);
  assert.deepEqual(events[2], events[0]);
  const [plainBytes, smallBytes, largeBytes] = all.map((device, index) => bytesRead(device) - before[index]);
  assert.ok(smallBytes < plainBytes / 3, `${smallBytes} of ${plainBytes}`);
  assert.ok(largeBytes < plainBytes / 3, `${largeBytes} of ${plainBytes}`);
  for (const device of all) assert.equal((await device.close()).code, 1000);
});

test('a snapshot and a delta arrive compressed', async () => {
  const token = await sign({ sub: 'carla' });
  const options = { perMessageDeflate: true };
  const writer = await Device.open(server, token, 'writer');
  await writer.command('DRAFT_CREATE', { id: 'd1', data: { lines } }, 1);
  await writer.command('DRAFT_CREATE', { id: 'd2', data: { lines } }, 2);
  const bytes = JSON.stringify(lines).length;

  const fresh = await Device.open(server, token, 'fresh', '', options);
  const snapshot = await fresh.inbox.find('SNAPSHOT');
  assert.deepEqual(snapshot.payload.drafts[0].data.lines, lines);
  assert.ok(bytesRead(fresh) < bytes, `${bytesRead(fresh)} of twice ${bytes}`);
  const { epoch } = fresh.welcome;
  await fresh.close();

  await writer.command('DRAFT_UPDATE', { id: 'd1', data: { lines: { ...lines, more: 1 } } }, 3);
  const back = await Device.open(server, token, 'fresh',
    `&epoch=${epoch}&seq=${snapshot.seq}&at=${encodeURIComponent(snapshot.timestamp)}`, options);
  assert.equal(back.welcome.recovery, 'delta');
  const event = await back.inbox.find('DRAFT_UPDATED');
  assert.equal(event.payload.document.data.lines.more, 1);
  assert.ok(bytesRead(back) < bytes / 3, `${bytesRead(back)} of ${bytes}`);
  await back.close();
  await writer.close();
});
