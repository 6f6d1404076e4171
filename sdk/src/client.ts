/**
 * The client: wires space, store, tabs and connection together and shows them as the public face.
 * Owns whose space is open and whether this tab leads. Rules of the wire are `session.ts`'s, rules
 * of reconnecting `connection.ts`'s, rules of the queue `space.ts`'s.
 */

import type {
  Change,
  Client,
  ClientOptions,
  Collection,
  ConnectionState,
  DisconnectReason,
  Document,
  Drafts,
  EditOptions,
  JsonObject,
  Patch,
  QueueState,
  Rejected,
  RejectedChange,
} from './api.js';
import { backoff } from './backoff.js';
import type { CollectionName, Command, DocumentKey } from './command.js';
import { Connection } from './connection.js';
import type { Delta } from './delta.js';
import { NotReadyError } from './errors.js';
import { defaultHost, type Host } from './host.js';
import { identifier } from './identifier.js';
import { indexedDBStorage } from './indexeddb.js';
import { copyObject } from './json.js';
import { Cell, Listeners } from './observable.js';
import { Space } from './space.js';
import { memoryStorage, type Storage } from './storage.js';
import { Store } from './store.js';
import { type Message, Tabs } from './tabs.js';
import { Tokens } from './tokens.js';

const DOCUMENT_ID = /^(?!\.{1,2}$)[A-Za-z0-9._:-]{1,128}$/;
const CLIENT_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** A user's open space, with what belongs to it. */
interface Open {
  readonly userId: string;
  readonly store: Store;
  readonly tabs: Tabs;
}

class DraftwireClient implements Client<JsonObject, JsonObject> {
  readonly #options: ClientOptions;
  readonly #host: Host;
  readonly #url: string;
  readonly #tokens: Tokens;
  readonly #tabId: string;

  #space: Space;
  #opening: Promise<Open> | undefined;
  #open: Open | undefined;
  #running: Promise<void> | undefined;
  #abort = new AbortController();
  #live: Connection | undefined;
  /** The tab that leads, and the last of its changes that this one has applied. */
  #leader = '';
  #revision = 0;

  readonly #connection = new Cell<ConnectionState>({ status: 'disconnected', reason: 'initial' });
  readonly #queue = new Cell<QueueState>({ length: 0, durable: false, leader: false });
  readonly #rejectedCell = new Cell<readonly RejectedChange[]>([]);
  readonly #published = new Map<string, Listeners<[JsonObject]>>();
  readonly #watchers = new Map<string, Listeners>();
  readonly #anything = new Listeners();

  readonly connection = this.#connection;
  readonly queue = this.#queue;
  readonly rejected: Rejected;
  readonly drafts: Drafts;
  readonly pending: Collection;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#host = { ...defaultHost(), ...options.host };
    this.#url = options.url.replace(/^ws/, 'http').replace(/\/+$/, '');
    if (!/^https?:\/\//.test(this.#url)) throw new TypeError('url must begin with http or ws');
    const { clientId } = options;
    if (clientId !== undefined && !CLIENT_ID.test(clientId)) throw new TypeError('bad clientId');
    this.#tokens = new Tokens(options.getToken, options.tokenTimeoutMs ?? 15_000, this.#host);
    this.#tabId = this.#newId();
    this.#space = this.#newSpace();
    this.rejected = {
      get: this.#rejectedCell.get,
      subscribe: this.#rejectedCell.subscribe,
      retry: (key) => this.#space.retry(key),
      discard: (key) => this.#space.discard(key),
    };
    this.drafts = { ...this.#collection('drafts', 'DRAFT'), convert: this.#convert };
    this.pending = this.#collection('pending', 'PENDING');
    if (options.userId !== undefined) void this.#openSpace(options.userId);
  }

  connect(): void {
    if (this.#running) return;
    this.#abort = new AbortController();
    const running = this.#run(this.#abort.signal).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
  }

  async disconnect(): Promise<void> {
    this.#abort.abort();
    this.#live?.stop();
    this.#tokens.cancel();
    await this.#running;
    this.#setConnection({ status: 'disconnected', reason: 'closed' });
    await (await this.#opening)?.store.flush();
  }

  async forget(): Promise<void> {
    await this.disconnect();
    await (await this.#opening)?.store.erase();
    this.#leave();
    if (this.#options.userId !== undefined) await this.#openSpace(this.#options.userId);
  }

  ready(timeoutMs = 30_000): Promise<void> {
    return new Promise((resolve, reject) => {
      let timer: unknown;
      const finish = (done: () => void) => {
        this.#host.clearTimeout(timer);
        stop();
        done();
      };
      const look = (late = false) => {
        const state = this.#connection.get();
        if (state.status === 'connected') finish(resolve);
        else if (late || state.status === 'disconnected')
          finish(() => reject(new NotReadyError(state)));
      };
      const stop = this.#connection.subscribe(() => look());
      timer = this.#host.setTimeout(() => look(true), timeoutMs);
      look();
    });
  }

  on(type: string, listener: (payload: JsonObject) => void): () => void {
    const known = this.#published.get(type) ?? new Listeners<[JsonObject]>();
    this.#published.set(type, known);
    return known.add(listener);
  }

  subscribe = (listener: () => void): (() => void) => this.#anything.add(listener);

  // Whose space is open.

  #newSpace(): Space {
    const space = new Space(this.#options.queueMax ?? 10_000, this.#host.now, () => this.#newId());
    space.changes.add((keys) => {
      if (space === this.#space) this.#changed(keys);
    });
    return space;
  }

  #openSpace(userId: string): Promise<Open> {
    const space = this.#space;
    this.#opening ??= this.#load(userId, space).then((open) => {
      if (space === this.#space) this.#open = open;
      return open;
    });
    return this.#opening;
  }

  async #load(userId: string, space: Space): Promise<Open> {
    const { storage, clientId, tabs = true } = this.#options;
    const { locks, BroadcastChannel: Channel } = this.#host;
    const name = `${this.#url} ${userId}`;
    const makeStore = (chosen: Storage) =>
      new Store(chosen, name, this.#host, () => this.#newId(), clientId);
    const chosen = storage ?? ('indexedDB' in globalThis ? indexedDBStorage() : memoryStorage());
    const together = tabs && chosen.shared;
    // Tabs that share a storage and can't agree who leads must not share it.
    const alone = together && !(locks && Channel);
    let store = makeStore(alone ? memoryStorage() : chosen);
    let stored = await store.load().catch(() => undefined);
    const failed = stored === undefined;
    if (stored === undefined) {
      store = new Store(memoryStorage(), name, this.#host, () => this.#newId(), undefined);
      stored = await store.load();
    }
    const channel = together && !alone && !failed ? Channel : null;
    const peers = new Tabs(this.#host, name, this.#tabId, channel, (message, from) => {
      if (space === this.#space) this.#heard(message, from);
    });
    space.onShare = (delta) => this.#share(delta, peers);
    space.open(store, stored);
    peers.post({ kind: 'hello' });
    return { userId, store, tabs: peers };
  }

  /** Lets go of the user whose space is open: the next one starts with nothing. */
  #leave(): void {
    this.#open?.store.close();
    this.#open?.tabs.close();
    const keys = this.#space.replica.keys();
    this.#open = undefined;
    this.#opening = undefined;
    this.#space = this.#newSpace();
    this.#changed(keys);
  }

  // Connecting.

  async #run(signal: AbortSignal): Promise<void> {
    let reason: DisconnectReason = 'closed';
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      this.#setConnection({ status: 'connecting', reason: 'initial', attempt: 0 });
      const userId = this.#options.userId ?? (await this.#askUser(signal));
      if (userId === undefined || signal.aborted) break;
      if (this.#open && this.#open.userId !== userId) this.#leave();
      const open = await this.#openSpace(userId);
      open.tabs.post({ kind: 'hello' });
      const release = await open.tabs.lead(signal);
      if (!release || signal.aborted) {
        release?.();
        break;
      }
      try {
        reason = await this.#lead(open, signal);
      } finally {
        this.#live = undefined;
        await open.store.flush();
        this.#setLeader(false);
        release();
      }
      // Somebody else has signed in: his space is another one.
      if (reason !== 'wrong-user' || this.#options.userId !== undefined) break;
      await this.#pause(attempt, signal);
    }
    const state: ConnectionState = {
      status: 'disconnected',
      reason: signal.aborted ? 'closed' : reason,
    };
    this.#setConnection(state);
  }

  /** Whose token `getToken` brings; asked until it does. */
  async #askUser(signal: AbortSignal): Promise<string | undefined> {
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const token = await this.#tokens.fetch().catch(() => undefined);
      if (token !== undefined) return this.#tokens.userOf(token);
      this.#setConnection({ status: 'connecting', reason: 'token-failed', attempt });
      await this.#pause(attempt, signal);
    }
    return undefined;
  }

  async #pause(attempt: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#host.setTimeout(resolve, backoff(attempt, this.#host.random));
      signal.addEventListener('abort', () => {
        this.#host.clearTimeout(timer);
        resolve();
      });
    });
  }

  async #lead(open: Open, signal: AbortSignal): Promise<DisconnectReason> {
    const host = this.#host;
    const space = this.#space;
    space.takeOver(await open.store.load());
    this.#setLeader(true);
    this.#tellWhole(open.tabs, undefined);
    if (signal.aborted) return 'closed';
    const globals = globalThis as Partial<Pick<typeof globalThis, 'WebSocket' | 'fetch'>>;
    const { WebSocket: Socket = globals.WebSocket, fetch: fetcher = globals.fetch } = this.#options;
    const connection = new Connection({
      url: this.#url,
      host,
      space,
      userId: open.userId,
      tokens: this.#tokens,
      WebSocket: Socket ?? null,
      fetch: fetcher ? (...args) => fetcher(...args) : null,
      onState: (state) => this.#tellConnection(state, open.tabs),
      onPublished: (type, payload) => {
        open.tabs.post({ kind: 'published', type, payload });
        this.#published.get(type)?.notify(payload);
      },
    });
    this.#live = connection;
    const reason = await connection.run();
    this.#tellConnection({ status: 'disconnected', reason }, open.tabs);
    return reason;
  }

  // Among the tabs.

  #setLeader(leader: boolean): void {
    this.#leader = leader ? this.#tabId : '';
    this.#changed();
  }

  #tellConnection(connection: ConnectionState, tabs: Tabs): void {
    this.#setConnection(connection);
    tabs.post({ kind: 'connection', connection });
  }

  #tellWhole(tabs: Tabs, to: string | undefined): void {
    const connection = this.#connection.get();
    const delta = this.#space.whole();
    tabs.post({ kind: 'whole', to, revision: this.#revision, delta, connection });
  }

  #share(delta: Delta, tabs: Tabs): void {
    const leads = this.#leader === this.#tabId;
    if (leads) this.#revision += 1;
    tabs.post({ kind: 'delta', revision: leads ? this.#revision : undefined, delta });
    this.#live?.pump();
  }

  #heard(message: Message, from: string): void {
    const leads = this.#leader === this.#tabId;
    switch (message.kind) {
      case 'hello':
        if (leads && this.#open) this.#tellWhole(this.#open.tabs, from);
        return;
      case 'whole':
        if (leads || (message.to !== this.#tabId && this.#leader === from)) return;
        this.#leader = from;
        this.#revision = message.revision;
        this.#space.apply(message.delta);
        return this.#mirror(message.connection);
      case 'delta':
        if (message.revision !== undefined) {
          if (leads) return;
          if (from !== this.#leader || message.revision !== this.#revision + 1) {
            // Something was missed, while this tab slept.
            this.#leader = '';
            this.#open?.tabs.post({ kind: 'hello' });
            return;
          }
          this.#revision = message.revision;
        }
        this.#space.apply(message.delta);
        return this.#live?.pump();
      case 'connection':
        return leads ? undefined : this.#mirror(message.connection);
      case 'published':
        return this.#published.get(message.type)?.notify(message.payload);
    }
  }

  /** The leader's connection is this tab's too, where this tab wants one. */
  #mirror(connection: ConnectionState): void {
    if (this.#running) this.#setConnection(connection);
  }

  // What the application sees.

  /** Shows what has changed, each part first, then all of it in one call. */
  #changed(keys: ReadonlySet<DocumentKey> = new Set()): void {
    const names = new Set<string>();
    for (const key of keys) names.add(key.slice(0, key.indexOf('/')));
    for (const name of [...names, ...keys]) this.#watchers.get(name)?.notify();
    const refused = this.#rejectedCell.set(this.#space.rejected);
    if (this.#showQueue() || refused || keys.size > 0) this.#anything.notify();
  }

  #showQueue(): boolean {
    const { length, durable } = this.#space;
    const leader = this.#leader === this.#tabId;
    const old = this.#queue.get();
    const same = old.length === length && old.durable === durable && old.leader === leader;
    return !same && this.#queue.set({ length, durable, leader });
  }

  #setConnection(state: ConnectionState): void {
    if (this.#connection.set(state)) this.#anything.notify();
  }

  #watch(name: string, listener: () => void): () => void {
    const watchers = this.#watchers.get(name) ?? new Listeners();
    this.#watchers.set(name, watchers);
    const stop = watchers.add(listener);
    return () => {
      stop();
      if (watchers.size === 0 && this.#watchers.get(name) === watchers) this.#watchers.delete(name);
    };
  }

  #collection(name: CollectionName, prefix: 'DRAFT' | 'PENDING'): Collection {
    const edit = (id: string, content: object, options: EditOptions = {}) =>
      this.#write(`${prefix}_UPDATE`, { ...named(id), ...content, ...condition(options) });
    return {
      get: (id) => this.#space.replica.get(`${name}/${id}`),
      list: () => this.#space.replica.list(name) as readonly Document[],
      subscribe: (first: string | (() => void), second?: () => void) =>
        typeof first === 'string'
          ? this.#watch(`${name}/${first}`, second ?? (() => {}))
          : this.#watch(name, first),
      create: (data, { id } = {}) =>
        this.#write(`${prefix}_CREATE`, {
          ...named(id ?? this.#newId()),
          data: copyObject(data, 'data'),
        }),
      update: (id, patch, options) => edit(id, { patch: copyObject(patch, 'patch') }, options),
      replace: (id, data, options) => edit(id, { data: copyObject(data, 'data') }, options),
      delete: (id, options = {}) =>
        this.#write(`${prefix}_DELETE`, { ...named(id), ...condition(options) }),
    };
  }

  #convert = (
    id: string,
    options: EditOptions & { pendingId?: string; patch?: Patch<JsonObject> } = {},
  ): Change => {
    const { patch, pendingId } = options;
    return this.#write('DRAFT_CONVERT', {
      ...named(id),
      pendingId: named(pendingId ?? this.#newId()).id,
      ...(patch && { patch: copyObject(patch, 'patch') }),
      ...condition(options),
    });
  };

  #write(type: Command['type'], payload: Command['payload']): Change {
    return this.#space.write({ type, payload });
  }

  #newId(): string {
    return identifier(this.#host.now(), this.#host.random);
  }
}

function named(id: string): { id: string } {
  if (!DOCUMENT_ID.test(id)) {
    throw new TypeError('an id is 1 to 128 of A-Z a-z 0-9 . _ : - (but not . or ..)');
  }
  return { id };
}

function condition({ ifVersion }: EditOptions): { ifVersion?: number } {
  return ifVersion === undefined ? {} : { ifVersion };
}

/** Makes a client. It does nothing on the network before `connect()`. */
export function createClient<Draft extends object = JsonObject, Pending extends object = Draft>(
  options: ClientOptions,
): Client<Draft, Pending> {
  return new DraftwireClient(options) as unknown as Client<Draft, Pending>;
}
