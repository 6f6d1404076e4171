// What a backend does with fetch: publish, broadcast, progress, statistics, revocation; and
// devices on Node's own WebSocket.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Device, Inbox, call, knock, sign, startServer } from './harness.mjs';

let server;
let admin;
before(async () => {
  server = await startServer();
  admin = await sign({ userId: 'backend', role: 'admin' });
});
after(async () => { assert.equal(await server.stop(), 0); });

const open = async (user, name) => Device.open(server, await sign({ sub: user }), name);

test('a message to one user reaches his devices only, a broadcast everybody', async () => {
  const devices = await Promise.all([open('anna', 'a1'), open('anna', 'a2'), open('berta', 'b1')]);
  const event = { type: 'PRICE_LIST', payload: { version: 7, note: 'grüße' } };
  const sent = await call(server, 'POST', '/api/users/anna/events', admin, event);
  assert.deepEqual([sent.status, sent.json], [200, { connections: 2 }]);
  for (const device of devices.slice(0, 2)) {
    const { timestamp, ...frame } = await device.inbox.find('PRICE_LIST');
    assert.deepEqual(frame, event);
    assert.ok(Date.parse(timestamp));
  }
  const all = await call(server, 'POST', '/api/broadcast', admin, { type: 'CLOSING', payload: {} });
  assert.deepEqual(all.json, { connections: 3 });
  for (const device of devices) await device.inbox.find('CLOSING');
  assert.ok(!devices[2].inbox.frames.some((frame) => frame.type === 'PRICE_LIST'));
  await Promise.all(devices.map((device) => device.close()));
});

test('names of the protocol are not published, and users are no administrators', async () => {
  for (const type of ['DRAFT_CREATED', 'WELCOME', 'ACK', 'a b', '']) {
    const answer = await call(server, 'POST', '/api/users/anna/events', admin, { type, payload: {} });
    assert.equal(answer.status, 400, type);
  }
  const user = await sign({ sub: 'anna' });
  for (const [method, path] of [['POST', '/api/users/anna/events'], ['POST', '/api/broadcast'],
    ['GET', '/api/websocket/stats'], ['POST', '/api/users/anna/revoke'], ['GET', '/api/users/anna/drafts']]) {
    const answer = await call(server, method, path, user, method === 'POST' ? {} : undefined);
    assert.equal(answer.status, 403, path);
  }
});

test('a backend writes on behalf of a user, with ETag and If-Match', async () => {
  const device = await open('carla', 'phone');
  const created = await call(server, 'POST', '/api/users/carla/drafts', admin, { id: 'd1', data: { n: 1 } });
  assert.equal(created.status, 201);
  const event = await device.inbox.find('DRAFT_CREATED');
  assert.deepEqual(event.payload.origin, { service: 'backend' });
  const url = `${server.http}${created.headers.get('location')}`;
  const headers = { authorization: `Bearer ${admin}`, 'content-type': 'application/json' };
  const patch = (match, n) => fetch(url, {
    method: 'PATCH', headers: { ...headers, 'if-match': match }, body: JSON.stringify({ n }),
  });
  const tag = created.headers.get('etag');
  assert.equal((await patch(tag, 2)).status, 200);
  const conflict = await patch(tag, 3);
  assert.equal(conflict.status, 412);
  assert.deepEqual((await conflict.json()).document.data, { n: 2 });
  await device.close();
});

test('statistics count connections and users, and /ws/sync apart', async () => {
  const devices = await Promise.all([open('dora', 'd1'), open('dora', 'd2'), open('emma', 'e1')]);
  const token = await sign({ sub: 'dora' });
  const sync = new Device(`${server.ws}/ws/sync?token=${token}`);
  await sync.opened;
  const { json } = await call(server, 'GET', '/api/websocket/stats', admin);
  assert.deepEqual([json.totalConnections, json.activeUsers], [3, 2]);
  const listed = await call(server, 'GET', '/api/users/dora/connections', admin);
  assert.equal(listed.json.items.length, 3);
  const gone = await call(server, 'DELETE', '/api/users/emma/connections', admin);
  assert.deepEqual(gone.json, { connections: 1 });
  assert.equal((await devices[2].closed).code, 4502);
  await Promise.all([...devices.slice(0, 2), sync].map((device) => device.close()));
});

test('/ws/sync shows the progress of jobs, also to those who come later', async () => {
  const token = await sign({ sub: 'frida' });
  const url = `${server.ws}/ws/sync`;
  const first = new Device(url, [], { headers: { authorization: `Bearer ${token}` } });
  await first.opened;
  const progress = (body) => call(server, 'POST', '/api/sync/progress', admin, body);
  const job = { jobId: 'job-1', phase: 'read', percent: 40, message: 'half', userId: 'frida' };
  assert.equal((await progress(job)).status, 200);
  const frame = await first.inbox.find('SYNC_PROGRESS');
  assert.equal(frame.payload.percent, 40);
  const late = new Device(`${url}?token=${token}`);
  assert.equal((await late.inbox.find('SYNC_PROGRESS')).payload.jobId, 'job-1');
  await progress({ type: 'SYNC_COMPLETED', jobId: 'job-1', message: 'done', userId: 'frida' });
  for (const device of [first, late]) await device.inbox.find('SYNC_COMPLETED');
  await Promise.all([first.close(), late.close()]);
});

test('revoked tokens end their connections and stop working, fresh ones work', async () => {
  const one = await sign({ sub: 'gerda' }, { id: 'stolen' });
  const other = await sign({ sub: 'gerda' }, { id: 'kept' });
  const [stolen, kept] = [await Device.open(server, one, 's'), await Device.open(server, other, 'k')];
  const revoke = (body) => call(server, 'POST', '/api/users/gerda/revoke', admin, body);
  assert.deepEqual((await revoke({ jti: 'stolen' })).json, { connections: 1 });
  assert.equal((await stolen.closed).code, 4501);
  const refused = await knock(`${server.ws}/ws/realtime?token=${one}`);
  assert.deepEqual([refused.status, refused.problem.code], [401, 'TOKEN_REVOKED']);
  assert.equal((await kept.command('SKIP', {}, 1)).type, 'ACK');
  assert.deepEqual((await revoke({})).json, { connections: 1 });
  assert.equal((await kept.closed).code, 4501);
  assert.equal((await call(server, 'GET', '/api/session', other)).status, 401);
});

// Node has a WebSocket of its own (undici) from version 22 on. In 20 it stands behind a flag, which
// scripts/test-outside.sh gives; without it this one is skipped.
const builtIn = globalThis.WebSocket;
test('the WebSocket that Node brings along', { skip: builtIn ? false : 'this Node has none' }, async () => {
  const token = await sign({ sub: 'hanna' });
  const socket = new builtIn(`${server.ws}/ws/realtime?clientId=web`,
    ['draftwire.v1', `draftwire.bearer.${token}`]);
  const inbox = new Inbox();
  socket.addEventListener('message', (event) => inbox.push(JSON.parse(event.data)));
  await inbox.find('WELCOME');
  assert.deepEqual([socket.protocol, socket.extensions], ['draftwire.v1', '']);
  socket.send(JSON.stringify({ type: 'DRAFT_CREATE', mutationId: 1, payload: { id: 'd1', data: {} } }));
  assert.equal((await inbox.ack(1)).payload.version, 1);
  await inbox.find('DRAFT_CREATED');
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
  socket.close(1000, 'bye');
  assert.equal((await closed).code, 1000);
});
