/**
 * A draftwire server in memory for unit tests: WebSocket-like and fetch, scripted. Owns a faithful
 * model of the server's rules (numbers, positions, recovery) and the faults a test asks for. It is
 * no server for production: nothing is stored, tokens are not checked.
 */

import type { ClientOptions, JsonObject, WebSocketLike } from './api.js';
import type { CollectionName, ServerDocument } from './command.js';
import { CloseCode, LIMITS, PASSING_CODES, type RejectionCode } from './generated.js';
import { isObject, merge } from './json.js';
import { claimsOf } from './tokens.js';

/** What a test server takes. */
export interface TestServerOptions {
  /** Milliseconds since 1970. */
  now?: () => number;
  /** True: nothing is delivered by itself, `deliver()` does it. */
  manual?: boolean;
  /** The timers of `GET /api/sync`. */
  setTimeout?: (run: () => void, ms: number) => unknown;
  /** Limits that `WELCOME` tells. */
  limits?: { frameBytes?: number; documentBytes?: number; inFlight?: number };
}

interface SentCommand {
  type: string;
  payload: Record<string, unknown>;
  mutationId?: number;
}

interface Answer {
  readonly type: 'ACK' | 'REJECTED';
  readonly payload: Record<string, unknown>;
  readonly digest: string;
}

interface LoggedEvent {
  readonly seq: number;
  readonly at: string;
  readonly text: string;
}

class User {
  epoch: string;
  readonly documents = new Map<string, ServerDocument>();
  readonly log: LoggedEvent[] = [];
  readonly devices = new Map<string, Answer[]>();
  revoked = false;
  /** The last event that the log does not hold any more. */
  forgotten = 0;
  /** Commands in the order in which they took effect: `clientId#mutationId`. */
  readonly applied: string[] = [];

  constructor(epoch: string) {
    this.epoch = epoch;
  }

  get seq(): number {
    return this.log.length;
  }
}

/** A token that names a user and proves nothing: for test servers only. */
export function testToken(userId: string, claims: JsonObject = {}): string {
  const encode = (value: object) =>
    btoa(JSON.stringify(value)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
  return `${encode({ alg: 'none' })}.${encode({ ...claims, sub: userId })}.`;
}

const userOf = (token: string) => String(claimsOf(token).sub);

/** One connection of a client. */
class TestSocket implements WebSocketLike {
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  readonly toClient: (() => void)[] = [];
  readonly toServer: string[] = [];
  readonly userId: string;
  readonly clientId: string;
  closed = false;
  welcomed = false;
  readonly #server: TestServer;
  readonly query: URLSearchParams;

  constructor(server: TestServer, url: string, protocols: string[]) {
    this.#server = server;
    this.query = new URL(url).searchParams;
    this.clientId = this.query.get('clientId') ?? '';
    this.userId = userOf((protocols[1] ?? '').replace('draftwire.bearer.', ''));
  }

  /** From the client. */
  send(text: string): void {
    if (this.closed) return;
    this.toServer.push(text);
    this.#server.schedule();
  }

  close(): void {
    this.closed = true;
    this.#server.forget(this);
  }

  /** To the client. */
  push(text: string): void {
    this.toClient.push(() => this.onmessage?.({ data: text }));
    this.#server.schedule();
  }

  end(code: number): void {
    if (this.closed) return;
    this.closed = true;
    this.#server.forget(this);
    this.toClient.push(() => this.onclose?.({ code }));
    this.#server.schedule();
  }
}

/** A scripted server in memory. */
export class TestServer {
  /** True: nothing can be reached. */
  offline = false;
  /** False: handshakes fail, plain HTTP works. */
  websockets = true;
  /** Milliseconds that each delivery takes. */
  delayMs = 0;
  /** Devices of a user that are remembered; commands of one more are refused with `QUOTA`. */
  devicesMax = Number.POSITIVE_INFINITY;
  /** Handshakes so far, those that failed among them. */
  handshakes = 0;

  readonly #users = new Map<string, User>();
  readonly #sockets = new Set<TestSocket>();
  /** Sockets that still have something to tell. */
  readonly #busy = new Set<TestSocket>();
  readonly #waiting = new Set<() => void>();
  readonly #options: TestServerOptions;
  readonly #rejections: { code: RejectionCode; retryAfterMs?: number }[] = [];
  readonly #losses: ('command' | 'answer')[] = [];
  /** Answers that are kept back. */
  #held: (() => void)[] | undefined;
  #duplicates = 0;
  #scheduled = false;
  #epochs = 0;

  constructor(options: TestServerOptions = {}) {
    this.#options = options;
  }

  /** Options that connect a client of this user to this server. */
  options(userId: string): Pick<ClientOptions, 'url' | 'getToken' | 'WebSocket' | 'fetch'> {
    const server = this;
    return {
      url: 'http://draftwire.test',
      getToken: () => testToken(userId),
      WebSocket: class extends TestSocket {
        constructor(url: string, protocols: string[]) {
          super(server, url, protocols);
          server.#connect(this);
        }
      },
      fetch: (input, init) => server.#fetch(String(input), init ?? {}),
    };
  }

  // What a test looks at.

  /** The user's documents, by id. */
  documents(userId: string, name: CollectionName): ServerDocument[] {
    const found = [...this.#user(userId).documents].filter(([key]) => key.startsWith(`${name}/`));
    return found.map(([, document]) => document).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** `clientId#mutationId` of every command that took effect, in their order. */
  applied(userId: string): readonly string[] {
    return this.#user(userId).applied;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#sockets.size;
  }

  // What a test scripts.

  /** The next command is refused. */
  rejectNext(code: RejectionCode, retryAfterMs?: number): void {
    this.#rejections.push({ code, ...(retryAfterMs !== undefined && { retryAfterMs }) });
  }

  /** The connection breaks at the next command: before it took effect, or before its answer. */
  dropNext(before: 'command' | 'answer'): void {
    this.#losses.push(before);
  }

  /** Keeps answers back, but not events, until `releaseAnswers()`. */
  holdAnswers(): void {
    this.#held ??= [];
  }

  /** Sends the answers that were kept back. */
  releaseAnswers(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const send of held) send();
  }

  /** So many of the next frames with events or answers arrive twice. */
  duplicateNext(count = 1): void {
    this.#duplicates += count;
  }

  /** Closes all connections; 1006 looks like a lost network. */
  drop(code = 1006): void {
    for (const socket of [...this.#sockets]) socket.end(code);
  }

  /** Says that a restart is planned, and closes. */
  restart(afterMs: number): void {
    this.#all('RECONNECT', { afterMs, reason: 'restart' });
    this.drop(CloseCode.Restart);
  }

  /** Says that tokens end soon. */
  expireSoon(): void {
    this.#all('TOKEN_EXPIRING', { expiresAt: this.#time(), expiresInMs: 60_000 });
  }

  /** Tokens have ended: connections are closed. */
  expire(): void {
    this.drop(CloseCode.TokenExpired);
  }

  /** The user's tokens are not accepted any more, from now on. */
  revoke(userId: string): void {
    this.#user(userId).revoked = true;
    for (const socket of [...this.#sockets]) {
      if (socket.userId === userId) socket.end(CloseCode.TokenRevoked);
    }
  }

  /** An event of the application's backend. */
  publish(userId: string, type: string, payload: JsonObject): void {
    for (const socket of this.#sockets) {
      if (socket.userId === userId && socket.welcomed) socket.push(this.#frame(type, payload));
    }
  }

  /** Sends any text, as a server that is out of its mind would. */
  sendRaw(text: string): void {
    for (const socket of this.#sockets) socket.push(text);
  }

  /** Applies a command of nobody's device, as a backend does. */
  command(userId: string, type: string, payload: JsonObject): void {
    this.#apply(userId, { type, payload }, { service: 'test' });
  }

  /** The log does not reach back any more: who is behind gets a snapshot. */
  forgetLog(userId: string): void {
    const user = this.#user(userId);
    user.forgotten = user.seq;
  }

  /** Takes the user's history back by so many events, and all that devices had done in them. */
  rollBack(userId: string, events: number): void {
    const old = this.#user(userId);
    const fresh = new User(`epoch-${++this.#epochs}`);
    this.#users.set(userId, fresh);
    for (const { text } of old.log.slice(0, Math.max(0, old.seq - events))) {
      const { type, payload, seq, timestamp } = JSON.parse(text);
      this.#replay(fresh, type, payload);
      fresh.log.push({ seq, at: timestamp, text });
      const { clientId, mutationId } = payload.origin;
      if (clientId === undefined) continue;
      const answers = fresh.devices.get(clientId) ?? [];
      fresh.devices.set(clientId, answers);
      const before = old.devices.get(clientId) ?? [];
      while (answers.length < mutationId) answers.push(before[answers.length] as Answer);
      fresh.applied.push(`${clientId}#${mutationId}`);
    }
    for (const socket of [...this.#sockets]) {
      if (socket.userId === userId) socket.end(CloseCode.Restart);
    }
  }

  /** With `manual`: delivers one thing one way on connection `index`; false where there is none. */
  deliver(index: number, way: 'up' | 'down'): boolean {
    const busy = [...this.#busy];
    const socket = busy[index % Math.max(busy.length, 1)];
    if (!socket) return false;
    if (way === 'up' ? !this.#up(socket) : !this.#down(socket)) return false;
    this.#settle(socket);
    return true;
  }

  /** With `manual`: delivers until nothing is left. */
  deliverAll(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const socket of [...this.#busy]) {
        while (this.#up(socket) || this.#down(socket)) moved = true;
        this.#settle(socket);
      }
    }
  }

  // Delivery.

  /** @internal */
  schedule(): void {
    if (this.#options.manual || this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      this.deliverAll();
    }, this.delayMs);
  }

  /** @internal */
  forget(socket: TestSocket): void {
    this.#sockets.delete(socket);
  }

  #settle(socket: TestSocket): void {
    const idle = socket.toClient.length === 0 && socket.toServer.length === 0;
    if (socket.closed && idle) this.#busy.delete(socket);
  }

  #up(socket: TestSocket): boolean {
    const text = socket.toServer.shift();
    if (text === undefined) return false;
    if (!socket.closed) this.#receive(socket, text);
    return true;
  }

  #down(socket: TestSocket): boolean {
    const tell = socket.toClient.shift();
    tell?.();
    return tell !== undefined;
  }

  // The rules of the server.

  #connect(socket: TestSocket): void {
    this.handshakes += 1;
    this.#busy.add(socket);
    if (this.offline || !this.websockets || this.#user(socket.userId).revoked) {
      socket.end(1006);
      return;
    }
    for (const other of [...this.#sockets]) {
      if (other.userId !== socket.userId || other.clientId !== socket.clientId) continue;
      // What has not reached the store is thrown away.
      other.toServer.length = 0;
      other.end(CloseCode.Replaced);
    }
    this.#sockets.add(socket);
    socket.toClient.push(() => {
      socket.onopen?.({});
    });
    this.#welcome(socket);
    this.schedule();
  }

  #welcome(socket: TestSocket): void {
    const user = this.#user(socket.userId);
    const { events, reason } = this.#recovery(user, socket.query);
    const limits = { ...LIMITS, ...this.#options.limits };
    const { frameBytes, documentBytes, inFlight } = limits;
    socket.push(
      this.#frame('WELCOME', {
        connectionId: 'test',
        userId: socket.userId,
        clientId: socket.clientId,
        epoch: user.epoch,
        seq: user.seq,
        at: this.#at(user),
        lastMutationId: user.devices.get(socket.clientId)?.length ?? 0,
        recovery: reason === undefined ? 'delta' : 'snapshot',
        heartbeatMs: 25_000,
        expiresAt: this.#time(),
        expiresInMs: 3_600_000,
        limits: { frameBytes, documentBytes, inFlight },
      }),
    );
    if (reason === undefined) for (const { text } of events) socket.push(text);
    else {
      const all = { reason, ...this.#state(user) };
      // In two parts, so that a client is seen to wait for the last.
      socket.push(this.#snapshot(user, { ...all, pending: [], more: true }));
      socket.push(this.#snapshot(user, { ...all, drafts: [], more: false }));
    }
    socket.welcomed = true;
  }

  #recovery(user: User, query: URLSearchParams): { events: LoggedEvent[]; reason?: string } {
    const epoch = query.get('epoch');
    const seq = Number(query.get('seq'));
    if (epoch === null) return { events: [], reason: 'initial' };
    if (epoch !== user.epoch) return { events: [], reason: 'epoch' };
    if (seq > user.seq) return { events: [], reason: 'ahead' };
    if (seq < user.forgotten) return { events: [], reason: 'behind' };
    return { events: user.log.slice(seq) };
  }

  #receive(socket: TestSocket, text: string): void {
    const limit = this.#options.limits?.frameBytes ?? LIMITS.frameBytes;
    if (text.length > limit) {
      socket.end(CloseCode.TooBig);
      return;
    }
    const frame = JSON.parse(text) as SentCommand;
    if (frame.type === 'PING') socket.push(this.#frame('PONG', {}));
    else if (frame.type === 'AUTH') {
      const own = userOf(String(frame.payload.token)) === socket.userId;
      const times = { expiresAt: this.#time(), expiresInMs: 3_600_000 };
      if (own) socket.push(this.#frame('AUTHENTICATED', times));
      else socket.push(this.#frame('ERROR', { code: 'WRONG_USER', message: 'another user' }));
    } else {
      const loss = this.#losses.shift();
      if (loss === 'command') {
        socket.end(1006);
        return;
      }
      if (loss === 'answer') socket.end(1006);
      const answer = this.#command(socket.userId, socket.clientId, frame);
      if (loss !== undefined) return;
      const send = () => this.#push(socket, answer);
      if (this.#held) this.#held.push(send);
      else send();
    }
  }

  #push(socket: TestSocket, text: string): void {
    socket.push(text);
    if (this.#duplicates <= 0) return;
    this.#duplicates -= 1;
    socket.push(text);
  }

  #command(userId: string, clientId: string, frame: SentCommand): string {
    const user = this.#user(userId);
    const { mutationId = 0 } = frame;
    const digest = JSON.stringify([frame.type, frame.payload]);
    const answers = user.devices.get(clientId) ?? [];
    const reject = (code: RejectionCode, more: object = {}) =>
      this.#frame('REJECTED', { mutationId, code, message: code.toLowerCase(), ...more });
    const kept = answers[mutationId - 1];
    if (kept && kept.digest !== digest) return reject('MUTATION_REUSED');
    if (kept) return this.#frame(kept.type, { ...kept.payload, duplicate: true });
    const expected = answers.length + 1;
    if (mutationId !== expected) return reject('OUT_OF_ORDER', { expected });
    if (mutationId === 1 && user.devices.size >= this.devicesMax) return reject('QUOTA');
    const scripted = this.#rejections.shift();
    if (scripted && PASSING_CODES.includes(scripted.code)) return reject(scripted.code, scripted);
    user.devices.set(clientId, answers);
    const result = scripted
      ? { type: 'REJECTED' as const, payload: { code: scripted.code, message: 'scripted' } }
      : this.#apply(userId, frame, { clientId, mutationId });
    const payload = { mutationId, ...result.payload };
    answers.push({ type: result.type, payload, digest });
    return this.#frame(result.type, payload);
  }

  #apply(
    userId: string,
    { type, payload }: SentCommand,
    origin: Record<string, unknown>,
  ): { type: 'ACK' | 'REJECTED'; payload: Record<string, unknown> } {
    const user = this.#user(userId);
    const name = type.startsWith('PENDING') ? 'pending' : 'drafts';
    const { data, patch, ifVersion } = payload as {
      data?: unknown;
      patch?: never;
      ifVersion?: number;
    };
    const [id, pendingId] = [String(payload.id), String(payload.pendingId)];
    const key = `${name}/${id}`;
    const old = user.documents.get(key);
    const document = old && { document: old };
    const reject = (code: RejectionCode) =>
      ({ type: 'REJECTED', payload: { code, message: code.toLowerCase(), ...document } }) as const;
    if (type === 'SKIP') return { type: 'ACK', payload: { seq: user.seq } };
    const time = this.#time();
    const fresh = (newId: string, newData: unknown): ServerDocument => {
      const version = user.seq + 1;
      return { id: newId, version, data: newData as never, createdAt: time, updatedAt: time };
    };
    let event: [type: string, payload: Record<string, unknown>];
    if (type.endsWith('_CREATE')) {
      if (old) return reject('ALREADY_EXISTS');
      event = [`${type}D`, { document: fresh(id, data) }];
    } else {
      if (!old) return reject('NOT_FOUND');
      if (ifVersion !== undefined && ifVersion !== old.version) return reject('VERSION_CONFLICT');
      if (type.endsWith('_DELETE')) event = [`${type}D`, { id }];
      else if (type === 'DRAFT_CONVERT') {
        if (user.documents.has(`pending/${pendingId}`)) return reject('ALREADY_EXISTS');
        const placed = fresh(pendingId, merge(old.data, patch ?? {}));
        event = ['DRAFT_CONVERTED', { draftId: id, document: placed }];
      } else {
        const changed = data ?? merge(old.data, patch ?? {});
        const next = { ...old, version: old.version + 1, data: changed, updatedAt: time };
        event = [`${type}D`, { document: next }];
      }
    }
    const [name2, content] = event;
    this.#replay(user, name2, content);
    const seq = user.seq + 1;
    const text = JSON.stringify({
      type: name2,
      seq,
      timestamp: time,
      payload: { ...content, origin },
    });
    user.log.push({ seq, at: time, text });
    if (origin.clientId) user.applied.push(`${origin.clientId}#${origin.mutationId}`);
    for (const socket of this.#sockets) {
      if (socket.userId === userId && socket.welcomed) this.#push(socket, text);
    }
    for (const wake of [...this.#waiting]) wake();
    const told = content.document as ServerDocument | undefined;
    const version = told && { version: told.version };
    return { type: 'ACK', payload: { seq, id: told?.id ?? id, ...version } };
  }

  #replay(user: User, type: string, payload: Record<string, unknown>): void {
    const name = type.startsWith('PENDING') ? 'pending' : 'drafts';
    const document = payload.document as ServerDocument | undefined;
    if (type === 'DRAFT_CONVERTED' && document) {
      user.documents.delete(`drafts/${payload.draftId}`);
      user.documents.set(`pending/${document.id}`, document);
    } else if (document) user.documents.set(`${name}/${document.id}`, document);
    else user.documents.delete(`${name}/${payload.id}`);
  }

  // HTTP.

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    if (this.offline) throw new TypeError('fetch failed');
    const answer = await this.#answer(url, init);
    answer.headers.set('date', new Date(this.#time()).toUTCString());
    return answer;
  }

  async #answer(url: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    const token = (headers.get('authorization') ?? '').replace('Bearer ', '');
    const userId = userOf(token);
    const user = this.#user(userId);
    const ended = () =>
      Number(claimsOf(token).exp) * 1_000 <= Date.parse(this.#time()) &&
      Response.json({ code: 'TOKEN_EXPIRED' }, { status: 401 });
    const { pathname, searchParams } = new URL(url);
    if (user.revoked) return Response.json({ code: 'TOKEN_REVOKED' }, { status: 401 });
    const late = ended();
    if (late) return late;
    if (pathname === '/api/session') return Response.json({ userId, admin: false });
    if (pathname === '/api/commands') {
      const body: unknown = JSON.parse(String(init.body));
      const { clientId, commands } = isObject(body) ? body : {};
      const answers = (commands as SentCommand[]).map((frame) =>
        JSON.parse(this.#command(userId, String(clientId), frame)),
      );
      return Response.json({ answers });
    }
    const found = await this.#news(user, searchParams, init.signal ?? undefined);
    const over = ended();
    if (over) return over;
    return Response.json({
      epoch: user.epoch,
      seq: user.seq,
      at: this.#at(user),
      lastMutationId: user.devices.get(searchParams.get('clientId') ?? '')?.length ?? 0,
      ...found,
    });
  }

  async #news(user: User, query: URLSearchParams, signal?: AbortSignal): Promise<object> {
    const look = () => {
      const { events, reason } = this.#recovery(user, query);
      if (reason !== undefined) return { snapshot: { reason, ...this.#state(user) } };
      return { events: events.map(({ text }) => JSON.parse(text)) };
    };
    const now = look();
    if (now.snapshot || now.events?.length || query.get('waitMs') === '0') return now;
    await new Promise<void>((resolve, reject) => {
      const done = () => {
        this.#waiting.delete(done);
        resolve();
      };
      this.#waiting.add(done);
      (this.#options.setTimeout ?? setTimeout)(done, Number(query.get('waitMs')));
      signal?.addEventListener('abort', () => {
        this.#waiting.delete(done);
        reject(new DOMException('aborted', 'AbortError'));
      });
    });
    return look();
  }

  // Frames.

  #all(type: string, payload: object): void {
    for (const socket of this.#sockets) socket.push(this.#frame(type, payload));
  }

  #frame(type: string, payload: object): string {
    return JSON.stringify({ type, timestamp: this.#time(), payload });
  }

  #snapshot(user: User, payload: object): string {
    return JSON.stringify({
      type: 'SNAPSHOT',
      seq: user.seq,
      timestamp: this.#at(user),
      payload,
    });
  }

  #state(user: User): { drafts: ServerDocument[]; pending: ServerDocument[] } {
    const all = (name: string) =>
      [...user.documents].filter(([key]) => key.startsWith(name)).map(([, document]) => document);
    return { drafts: all('drafts/'), pending: all('pending/') };
  }

  #user(userId: string): User {
    let user = this.#users.get(userId);
    if (!user) {
      user = new User(`epoch-${++this.#epochs}`);
      this.#users.set(userId, user);
    }
    return user;
  }

  #at(user: User): string {
    return user.log.at(-1)?.at ?? this.#time();
  }

  #time(): string {
    return new Date(this.#options.now?.() ?? Date.now()).toISOString();
  }
}

/** A server in memory, for one test. */
export function createTestServer(options: TestServerOptions = {}): TestServer {
  return new TestServer(options);
}
