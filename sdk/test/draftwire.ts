/** A real server for the tests, and tokens for it. Owns the process and its folder. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const SECRET = 'a secret for tests only, at least 32 bytes';

/** A token as a backend signs it. */
export function sign(user: string, { seconds = 3600, claims = {} as object } = {}): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const iat = Math.floor(Date.now() / 1000);
  const head = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: user, iat, exp: iat + seconds, ...claims })}`;
  return `${head}.${createHmac('sha256', SECRET).update(head).digest('base64url')}`;
}

export class Server {
  readonly #folder = mkdtempSync(join(tmpdir(), 'draftwire-sdk-'));
  readonly #flags: string[];
  #child: ChildProcess | undefined;
  #listen = '127.0.0.1:0';
  address = '';

  constructor(flags: string[]) {
    this.#flags = flags;
    writeFileSync(join(this.#folder, 'secret'), `${SECRET}\n`);
  }

  get url(): string {
    return `http://${this.address}`;
  }

  /** Starts it; a second time on the same port with the same data. */
  async start(): Promise<this> {
    const binary = process.env.DRAFTWIRE_BIN;
    if (!binary) throw new Error('DRAFTWIRE_BIN must name the binary: run scripts/test-sdk.sh');
    const { DRAFTWIRE_BIN: _, ...env } = process.env;
    const child = spawn(
      binary,
      ['serve', '--listen', this.#listen, '--data', join(this.#folder, 'data')].concat(
        ['--jwt-secret-file', join(this.#folder, 'secret'), '--allow-origin', '*'],
        this.#flags,
      ),
      { stdio: ['ignore', 'ignore', 'pipe'], env },
    );
    this.#child = child;
    this.address = await new Promise((resolve, reject) => {
      const log: string[] = [];
      createInterface({ input: child.stderr }).on('line', (line) => {
        log.push(line);
        const found = /listening on http:\/\/([0-9.:]+)/.exec(line)?.[1];
        if (found) resolve(found);
      });
      child.once('exit', () => reject(new Error(`the server has ended:\n${log.join('\n')}`)));
    });
    this.#listen = this.address;
    return this;
  }

  async halt(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  async stop(): Promise<void> {
    await this.halt();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** What the server itself says it has. */
  async items(name: 'drafts' | 'pending', token: string): Promise<Record<string, unknown>[]> {
    const answer = await fetch(`${this.url}/api/${name}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return ((await answer.json()) as { items: Record<string, unknown>[] }).items;
  }

  async call(method: string, path: string, token: string, body?: unknown): Promise<Response> {
    return fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }
}

export function startServer(...flags: string[]): Promise<Server> {
  return new Server(flags).start();
}

/** Waits until `condition` holds. */
export async function until(condition: () => unknown, what: string, ms = 15_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
