// Tokens as backends sign them with jose, and the three ways a client brings one.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SignJWT, UnsecuredJWT, generateKeyPair } from 'jose';
import { Device, call, knock, sign, startServer } from './harness.mjs';

let server;
before(async () => { server = await startServer(); });
after(async () => { assert.equal(await server.stop(), 0); });

const realtime = () => `${server.ws}/ws/realtime`;
const bearer = (token) => ({ headers: { authorization: `Bearer ${token}` } });

test('a token comes by subprotocol, and the answer does not repeat it', async () => {
  const token = await sign({ sub: 'anna' });
  const answer = await knock(realtime(), ['draftwire.v1', `draftwire.bearer.${token}`]);
  assert.deepEqual(answer, { status: 101, protocol: 'draftwire.v1', extensions: '' });
});

test('a token comes by query or by header', async () => {
  const token = await sign({ sub: 'anna' });
  assert.equal((await knock(`${realtime()}?token=${token}`)).status, 101);
  assert.equal((await knock(realtime(), [], bearer(token))).status, 101);
});

test('the header counts before the subprotocol, and that before the query', async () => {
  const [header, protocol, query] = await Promise.all(['h', 'p', 'q'].map((sub) => sign({ sub })));
  const protocols = ['draftwire.v1', `draftwire.bearer.${protocol}`];
  const user = async (...how) => {
    const device = new Device(...how);
    const welcome = await device.inbox.find('WELCOME');
    await device.close();
    return welcome.payload.userId;
  };
  const url = `${realtime()}?token=${query}`;
  assert.equal(await user(url, protocols, bearer(header)), 'h');
  assert.equal(await user(url, protocols), 'p');
  assert.equal(await user(url), 'q');
});

test('userId and roles stand where sub and role do not', async () => {
  const session = async (claims) => {
    const { status, json } = await call(server, 'GET', '/api/session', await sign(claims));
    assert.equal(status, 200);
    assert.ok(Date.parse(json.expiresAt) > Date.now() + 7.9 * 3600e3, 'eight hours');
    return [json.userId, json.admin];
  };
  assert.deepEqual(await session({ sub: 'anna' }), ['anna', false]);
  assert.deepEqual(await session({ userId: 'berta', role: 'customer' }), ['berta', false]);
  assert.deepEqual(await session({ userId: 'carla', role: 'admin' }), ['carla', true]);
  assert.deepEqual(await session({ sub: 'dora', userId: 'other' }), ['dora', false]);
  assert.deepEqual(await session({ sub: 'emma', roles: ['staff', 'admin'] }), ['emma', true]);
  assert.deepEqual(await session({ sub: 'frida', roles: ['administrator'] }), ['frida', false]);
});

test('what a backend must not sign is refused with the reason, in both places the same', async () => {
  const key = new TextEncoder().encode('another secret, at least 32 bytes long');
  const { privateKey } = await generateKeyPair('RS256');
  const claims = () => new SignJWT({ sub: 'anna' }).setExpirationTime('8h');
  const tokens = {
    BAD_TOKEN: [
      await claims().setProtectedHeader({ alg: 'HS256' }).sign(key),
      await claims().setProtectedHeader({ alg: 'RS256' }).sign(privateKey),
      new UnsecuredJWT({ sub: 'anna' }).setExpirationTime('8h').encode(),
      await sign({}),
      'x.y.z',
    ],
    TOKEN_EXPIRED: [await sign({ sub: 'anna' }, { expires: '-1h' })],
  };
  for (const [code, list] of Object.entries(tokens)) {
    for (const token of list) {
      const refused = await knock(realtime(), ['draftwire.v1', `draftwire.bearer.${token}`]);
      assert.deepEqual([refused.status, refused.problem.code], [401, code]);
      const session = await call(server, 'GET', '/api/session', token);
      assert.deepEqual([session.status, session.json.code], [401, code]);
    }
  }
  assert.equal((await knock(realtime())).problem.code, 'NO_TOKEN');
});

test('iss and aud are checked where the server is told to', async (t) => {
  const strict = await startServer('--jwt-issuer', 'https://shop.test', '--jwt-audience', 'drafts');
  t.after(() => strict.stop());
  const status = async (options) =>
    (await call(strict, 'GET', '/api/session', await sign({ sub: 'anna' }, options))).status;
  const issuer = 'https://shop.test';
  assert.equal(await status({ issuer, audience: 'drafts' }), 200);
  assert.equal(await status({ issuer, audience: ['other', 'drafts'] }), 200);
  assert.equal(await status({ issuer, audience: 'other' }), 401);
  assert.equal(await status({ issuer: 'https://shop.test.evil.test', audience: 'drafts' }), 401);
  assert.equal(await status({}), 401);
});

test('a fresh token by AUTH prolongs a connection; one of somebody else does not', async () => {
  const device = await Device.open(server, await sign({ sub: 'anna' }, { expires: '1h' }), 'auth');
  const before = device.welcome.expiresAt;
  device.send('AUTH', { token: await sign({ sub: 'anna' }) });
  const renewed = await device.inbox.find('AUTHENTICATED');
  assert.ok(renewed.payload.expiresAt > before);
  device.send('AUTH', { token: await sign({ sub: 'berta' }) });
  assert.equal((await device.inbox.find('ERROR')).payload.code, 'WRONG_USER');
  device.send('AUTH', { token: 'nonsense' });
  const bad = (frame) => frame.type === 'ERROR' && frame.payload.code === 'BAD_TOKEN';
  await device.inbox.find(bad);
  assert.deepEqual(await device.close(), { code: 1000, reason: '' });
});
