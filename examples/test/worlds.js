/**
 * Where the same app runs: before (its own backend, polled), after (draftwire beside the backend),
 * and in between (the old app, its old routes on top of draftwire). Owns servers, networks and
 * devices of a test; never what a test expects.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { memoryStorage } from '@draftwire/client';
import { WebSocket } from 'ws';
import { createOrders as createAfter } from '../after/client/orders.js';
import { bridgeRoutes } from '../after/move/bridge.js';
import { takeOrders as takeAfter } from '../after/server/intake.js';
import { createOrders as createBefore } from '../before/client/orders.js';
import { takeOrders as takeBefore } from '../before/server/intake.js';
import { syncRoutes } from '../before/server/routes.js';
import { createStore } from '../before/server/store.js';
import { startBackend } from '../shared/backend.js';
import { sign } from '../shared/tokens.js';
import { openNetwork } from './network.js';

const SECRET = 'a secret for tests only, at least 32 bytes';
/** Short, so that a test need not wait for fifteen seconds. */
const POLL_MS = 100;

/** Starts a draftwire of one's own; `stop()` takes its folder away. */
export async function startDraftwire(...flags) {
  const binary = process.env.DRAFTWIRE_BIN;
  if (!binary) throw new Error('DRAFTWIRE_BIN must name the binary: run scripts/test-examples.sh');
  const { DRAFTWIRE_BIN: _, ...env } = process.env;
  const folder = mkdtempSync(join(tmpdir(), 'draftwire-examples-'));
  writeFileSync(join(folder, 'secret'), `${SECRET}\n`);
  let child;
  let address = '127.0.0.1:0';

  async function start() {
    const files = ['--data', join(folder, 'data'), '--jwt-secret-file', join(folder, 'secret')];
    child = spawn(binary, ['serve', '--listen', address, ...files, ...flags], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env,
    });
    address = await new Promise((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        const found = /listening on http:\/\/([0-9.:]+)/.exec(line);
        if (found) resolve(found[1]);
      });
      child.once('exit', () => reject(new Error('draftwire has ended')));
    });
  }

  async function kill(signal) {
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  await start();
  const url = `http://${address}`;
  return {
    url,
    port: Number(new URL(url).port),
    admin: { url, getToken: () => sign(SECRET, { sub: 'backend', role: 'admin' }, 60) },
    start,
    kill,
    async stop() {
      await kill('SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What `localStorage` is in a browser. */
export function localStorage() {
  const items = new Map();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, text) => void items.set(name, text),
  };
}

/** A token from the backend's login, as the app fetches it. */
async function login(backend, user) {
  const response = await fetch(`http://127.0.0.1:${backend.port}/login`, {
    method: 'POST',
    body: JSON.stringify({ user }),
  });
  return (await response.json()).token;
}

/** A device: an app with a network of its own. `options` go to the app. */
async function openDevice({ createOrders, port, backend, storage, user, options }) {
  const network = await openNetwork(port);
  const device = { network, storage, logins: 0 };
  device.getToken = async () => {
    device.logins += 1;
    if (network.isCut()) throw new Error('no network');
    return login(backend, user);
  };
  const open = () => {
    device.orders = createOrders({
      url: network.url,
      userId: user,
      getToken: device.getToken,
      storage,
      ...options,
    });
    device.orders.start();
  };
  /** The app is closed and opened again. */
  device.reopen = async () => {
    await device.orders.stop();
    open();
  };
  device.close = async () => {
    await device.orders.stop();
    network.close();
  };
  open();
  return device;
}

function makeWorld({ createOrders, port, backend, newStorage, defaults, takeOrders, stop }) {
  const devices = [];
  return {
    takeOrders,
    async device(user, options = {}) {
      const storage = newStorage();
      const all = { ...defaults, ...options };
      const device = await openDevice({ createOrders, port, backend, storage, user, options: all });
      devices.push(device);
      return device;
    },
    async closeDevices() {
      await Promise.all(devices.splice(0).map((device) => device.close()));
    },
    async stop() {
      backend.stop();
      await stop();
    },
  };
}

/** The old app, its old backend. */
export async function before({ tokenSeconds, now, wrap = (store) => store } = {}) {
  const store = wrap(createStore({ now }));
  const routes = syncRoutes(store);
  const backend = await startBackend({ secret: SECRET, tokenSeconds, routes });
  const world = makeWorld({
    createOrders: createBefore,
    port: backend.port,
    backend,
    newStorage: localStorage,
    defaults: { pollMs: POLL_MS },
    takeOrders: (user) => takeBefore(store, user),
    stop() {},
  });
  return {
    ...world,
    store,
    /** The backend's routes are put on top of draftwire. */
    moveTo: (draftwire) => Object.assign(routes, bridge(draftwire)),
  };
}

function bridge({ url }) {
  return bridgeRoutes({ url, tokenFor: (userId) => sign(SECRET, { sub: userId }, 60) });
}

/** The new app, draftwire beside the backend. */
export async function after({ tokenSeconds } = {}) {
  const draftwire = await startDraftwire();
  const backend = await startBackend({ secret: SECRET, tokenSeconds });
  const world = makeWorld({
    createOrders: createAfter,
    port: draftwire.port,
    backend,
    newStorage: memoryStorage,
    defaults: { WebSocket },
    takeOrders: (user) => takeAfter(draftwire.admin, user),
    stop: draftwire.stop,
  });
  return { ...world, draftwire };
}

/** The old app, whose backend has moved: the bridge and draftwire. */
export async function between({ tokenSeconds } = {}) {
  const draftwire = await startDraftwire();
  const backend = await startBackend({ secret: SECRET, tokenSeconds, routes: bridge(draftwire) });
  const parts = {
    backend,
    takeOrders: (user) => takeAfter(draftwire.admin, user),
    stop: draftwire.stop,
  };
  const old = makeWorld({
    ...parts,
    createOrders: createBefore,
    port: backend.port,
    newStorage: localStorage,
    defaults: { pollMs: POLL_MS },
  });
  const fresh = makeWorld({
    ...parts,
    createOrders: createAfter,
    port: draftwire.port,
    newStorage: memoryStorage,
    defaults: { WebSocket },
  });
  return {
    ...old,
    draftwire,
    /** A device that has the new app already. */
    newDevice: fresh.device,
    async closeDevices() {
      await old.closeDevices();
      await fresh.closeDevices();
    },
  };
}

/** Whether `condition` comes to hold in time. */
export async function within(condition, ms) {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}

/** Waits until `condition` holds. */
export async function until(condition, what, ms = 20_000) {
  if (!(await within(condition, ms))) throw new Error(`never: ${what}`);
}
