// What the Node tests share: a server of their own, tokens as a backend signs them (jose), and a
// device on the WebSocket client `ws` that keeps every frame it was sent.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { SignJWT } from 'jose';
import WebSocket from 'ws';

const SECRET = 'a secret for tests only, at least 32 bytes';
/** Only a hang takes this long. */
const PATIENCE_MS = 30_000;

/** Starts a server on a free port; `stop()` ends it and takes its folder away. */
export async function startServer(...flags) {
  const binary = process.env.DRAFTWIRE_BIN;
  if (!binary) throw new Error('DRAFTWIRE_BIN must name the binary: run scripts/test-outside.sh');
  const folder = mkdtempSync(join(tmpdir(), 'draftwire-node-'));
  writeFileSync(join(folder, 'secret'), `${SECRET}\n`);
  const child = spawn(
    binary,
    ['serve', '--listen', '127.0.0.1:0', '--data', join(folder, 'data'),
      '--jwt-secret-file', join(folder, 'secret'), ...flags],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const log = [];
  const address = await new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      const found = /listening on http:\/\/([0-9.:]+)/.exec(line);
      if (found) resolve(found[1]);
    });
    child.once('exit', () => reject(new Error(`the server has ended:\n${log.join('\n')}`)));
  });
  const stop = async () => {
    child.kill('SIGTERM');
    const code = await ended;
    rmSync(folder, { recursive: true, force: true });
    return code;
  };
  return { address, http: `http://${address}`, ws: `ws://${address}`, log, stop };
}

/** A token as a typical backend signs it: HS256, eight hours. */
export function sign(claims, { expires = '8h', issuer, audience, id } = {}) {
  let token = new SignJWT(claims).setProtectedHeader({ alg: 'HS256', typ: 'JWT' });
  token = token.setIssuedAt().setExpirationTime(expires);
  if (issuer) token = token.setIssuer(issuer);
  if (audience) token = token.setAudience(audience);
  if (id) token = token.setJti(id);
  return token.sign(new TextEncoder().encode(SECRET));
}

/** Calls the HTTP interface with fetch; the answer's status and JSON. */
export async function call(server, method, path, token, body) {
  const headers = { authorization: `Bearer ${token}` };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const answer = await fetch(server.http + path, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, json: text ? JSON.parse(text) : null };
}

/** Frames of one socket in the order of their arrival, and a way to wait for one of them. */
export class Inbox {
  frames = [];
  #waiting = [];

  push(frame) {
    this.frames.push(frame);
    for (const look of this.#waiting.splice(0)) look();
  }

  /** The first frame from place `from` on that fits. */
  async find(fits, from = 0) {
    const test = typeof fits === 'string' ? (frame) => frame.type === fits : fits;
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = this.frames.slice(from).find(test);
      if (found) return found;
      const left = deadline - Date.now();
      if (left <= 0) {
        throw new Error(`${test} fits none of ${JSON.stringify(this.frames.slice(from))}`);
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => { clearTimeout(timer); resolve(); });
      });
    }
  }

  ack(mutationId, from = 0) {
    return this.find((frame) => frame.type === 'ACK' && frame.payload.mutationId === mutationId, from);
  }
}

/** A device on `ws`. */
export class Device {
  inbox = new Inbox();
  closed;

  constructor(url, protocols = [], options = {}) {
    this.socket = new WebSocket(url, protocols, options);
    this.socket.on('message', (data, isBinary) => {
      if (isBinary) throw new Error('a binary frame');
      this.inbox.push(JSON.parse(data.toString()));
    });
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('open', resolve);
      this.socket.once('error', reject);
    });
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  /** By the way browsers use: the token as a subprotocol. */
  static async open(server, token, clientId, query = '', options = {}) {
    const url = `${server.ws}/ws/realtime?clientId=${clientId}${query}`;
    const device = new Device(url, ['draftwire.v1', `draftwire.bearer.${token}`], options);
    await device.opened;
    device.welcome = (await device.inbox.find('WELCOME')).payload;
    return device;
  }

  send(type, payload, mutationId) {
    this.socket.send(JSON.stringify({ type, payload, mutationId }));
  }

  /** Sends a command and waits for its answer. */
  async command(type, payload, mutationId) {
    const from = this.inbox.frames.length;
    this.send(type, payload, mutationId);
    return this.inbox.find(
      (frame) => ['ACK', 'REJECTED'].includes(frame.type) && frame.payload.mutationId === mutationId,
      from,
    );
  }

  async close() {
    this.socket.close(1000);
    return this.closed;
  }
}

/** How a handshake with `ws` ends: the status where it is refused, 101 where not. */
export function knock(url, protocols, options) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocols, options);
    socket.once('open', () => {
      resolve({ status: 101, protocol: socket.protocol, extensions: socket.extensions });
      socket.terminate();
    });
    socket.once('unexpected-response', (request, answer) => {
      let text = '';
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => resolve({ status: answer.statusCode, problem: JSON.parse(text) }));
    });
    socket.once('error', reject);
  });
}
