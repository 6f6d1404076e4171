/**
 * Keeps one session after another alive while the application wants a connection. Owns when to
 * connect, how long to wait, over which transport, with which token, and when to stop for good: the
 * table of close codes in docs/protocol.md. Never looks at documents or commands.
 */

import type { ClientOptions, ConnectingReason, ConnectionState, DisconnectReason } from './api.js';
import { backoff, STABLE_MS } from './backoff.js';
import { isCount } from './frames.js';
import { CloseCode, LIMITS } from './generated.js';
import type { Host } from './host.js';
import { isObject } from './json.js';
import { type Link, type LinkEvents, openSocket, query, type Target } from './link.js';
import { type Ending, Session, type SessionContext } from './session.js';
import type { Space } from './space.js';
import { claimsOf, TokenError, type Tokens } from './tokens.js';

/** Failed WebSocket handshakes, while the server answers over HTTP, before HTTP takes over. */
const HANDSHAKES_MAX = 2;
/** How long HTTP is used before a WebSocket is tried again. */
const POLLING_MS = 5 * 60_000;
/** How long a failed refresh of a token that is still good waits. */
const REFRESH_MS = 5_000;
/** The longest time that a server's word keeps a client away. */
const AFTER_MS_MAX = 60 * 60_000;

/**
 * HTTP in a WebSocket's place: a part of its own, so that pages start without it. It is fetched as
 * soon as a connection is live, so that it is there when WebSockets no longer are.
 */
const loadPolling = async () => {
  const { polling } = await import('./polling.js');
  return polling({ CloseCode, LIMITS, claimsOf, isCount, isObject, query });
};
/** How long that may take before a WebSocket is tried again. */
const LOAD_MS = 15_000;

/** What follows the end of a session. */
type Verdict =
  | { readonly stop: DisconnectReason }
  | { readonly reason: ConnectingReason; readonly afterMs?: number | undefined };

/** What a connection needs. */
export interface ConnectionContext {
  readonly url: string;
  readonly host: Host;
  readonly space: Space;
  readonly userId: string;
  readonly tokens: Tokens;
  readonly WebSocket: ClientOptions['WebSocket'];
  readonly fetch: ClientOptions['fetch'];
  onState(state: ConnectionState): void;
  onPublished: SessionContext['onPublished'];
}

/** The connections of one user, one after the other. */
export class Connection {
  readonly #context: ConnectionContext;
  #session: Session | undefined;
  #stopped = false;
  #attempt = 0;
  #careful = false;
  /** Handshakes in a row that failed although the server answers over HTTP. */
  #handshakes = 0;
  /** When HTTP, once it has taken over, gives way to a WebSocket again; monotonic. */
  #pollUntil = 0;
  /** Refusals of a token in a row. */
  #refusals = 0;
  #wake: () => void = () => {};
  #refreshing = false;

  constructor(context: ConnectionContext) {
    this.#context = context;
  }

  /** Connects until the server, or `stop()`, says that it is over; resolves with why. */
  async run(): Promise<DisconnectReason> {
    const { host, onState } = this.#context;
    let reason: ConnectingReason = 'initial';
    const ignore = host.wakeUps(() => this.#wakeUp());
    try {
      while (!this.#stopped) {
        onState({ status: 'connecting', reason, attempt: this.#attempt });
        const verdict = await this.#once();
        if ('stop' in verdict) return verdict.stop;
        reason = verdict.reason;
        if (this.#stopped) break;
        onState({ status: 'connecting', reason, attempt: this.#attempt });
        await this.#wait(verdict.afterMs, backoff(this.#attempt, host.random));
        this.#attempt += 1;
      }
      return 'closed';
    } finally {
      ignore();
    }
  }

  /** Ends it. */
  stop(): void {
    this.#stopped = true;
    this.#session?.drop(CloseCode.Normal);
    this.#context.tokens.cancel();
    this.#wake();
  }

  /** Sends what has come into the queue. */
  pump(): void {
    this.#session?.pump();
  }

  async #once(): Promise<Verdict> {
    const { tokens, userId, space } = this.#context;
    let token: string;
    try {
      token = await tokens.fetch();
    } catch (error) {
      if (!(error instanceof TokenError)) return { reason: 'token-failed' };
      return { stop: 'unauthorized' };
    }
    if (this.#stopped) return { stop: 'closed' };
    if (tokens.userOf(token) !== userId) return { stop: 'wrong-user' };
    const clientId = space.numbers?.clientId ?? '';
    const { position } = space;
    return this.#connect({ url: this.#context.url, token, userId, clientId, position });
  }

  async #connect(target: Target): Promise<Verdict> {
    const { host, WebSocket: Socket, fetch: fetcher } = this.#context;
    const started = host.monotonic();
    const overHttp = fetcher && (!Socket || started < this.#pollUntil);
    const polling = overHttp && (await this.#polling());
    if (this.#stopped) return { stop: 'closed' };
    if (overHttp && !polling) return { reason: 'lost' };
    const session = this.#start(
      target,
      (events) => {
        if (polling) return polling.openPolling(fetcher, host, target, events);
        if (!Socket) throw new TypeError('there is neither a WebSocket nor a fetch');
        return openSocket(Socket, target, events);
      },
      overHttp ? 'http' : 'websocket',
    );
    const left = this.#pollUntil - started;
    const again = overHttp && Socket && host.setTimeout(() => session.drop(CloseCode.Normal), left);
    this.#session = session;
    const ending = await session.ended;
    this.#session = undefined;
    if (again) host.clearTimeout(again);
    this.#careful = ending.careful;
    if (ending.welcomed) this.#refusals = 0;
    if (ending.welcomed && host.monotonic() - started >= STABLE_MS) this.#attempt = 0;
    if (ending.opened && !overHttp) this.#handshakes = 0;
    if (this.#stopped) return { stop: 'closed' };
    if (!ending.opened && !overHttp) return this.#askSession(target);
    if (overHttp && Socket && ending.code === CloseCode.Policy) {
      // A relay has nothing to poll: only a WebSocket helps.
      this.#pollUntil = 0;
      return { reason: 'lost' };
    }
    return this.#judge(ending.code, ending);
  }

  #start(target: Target, open: (events: LinkEvents) => Link, transport: 'websocket' | 'http') {
    const { host, space, onState, onPublished } = this.#context;
    return new Session(space, target, {
      host,
      careful: this.#careful,
      open: (_, events) => {
        try {
          return open(events);
        } catch {
          // A constructor may refuse what it is given, such as a token with odd characters.
          queueMicrotask(() => events.closed(1006));
          return { send: () => {}, drop: () => {} };
        }
      },
      onLive: () => {
        onState({ status: 'connected', transport, userId: target.userId });
        void this.#polling();
      },
      onTokenExpiring: (refused) => this.#refresh(refused ? REFRESH_MS : 0),
      onPublished,
    });
  }

  /** Undefined where it can't be loaded, or not in time. */
  async #polling() {
    const { host } = this.#context;
    let timer: unknown;
    const tooLong = new Promise<undefined>((resolve) => {
      timer = host.setTimeout(() => resolve(undefined), LOAD_MS);
    });
    const loaded = await Promise.race([loadPolling().catch(() => undefined), tooLong]);
    host.clearTimeout(timer);
    return loaded;
  }

  /** A failed handshake tells nothing; plain HTTP says what the server thinks of the token. */
  async #askSession(target: Target): Promise<Verdict> {
    const { host, fetch: fetcher } = this.#context;
    const polling = fetcher && (await this.#polling());
    if (!polling) return { reason: 'lost' };
    const refused = await polling.askSession(fetcher, host, target);
    if (refused) return this.#judge(refused.code, refused);
    this.#refusals = 0;
    this.#handshakes += 1;
    if (this.#handshakes < HANDSHAKES_MAX) return { reason: 'lost' };
    this.#pollUntil = host.monotonic() + POLLING_MS;
    return { reason: 'lost', afterMs: 0 };
  }

  /** The table of close codes. */
  #judge(code: number, ending: Partial<Ending>): Verdict {
    const told = ending.afterMs;
    const afterMs = told === undefined ? undefined : Math.min(told, AFTER_MS_MAX);
    if (ending.renamed) return { reason: 'lost', ...(this.#attempt === 0 && { afterMs: 0 }) };
    switch (code) {
      case CloseCode.ProtocolError:
      case CloseCode.Unsupported:
      case CloseCode.BadUtf8:
      case CloseCode.Policy:
        return { stop: 'protocol' };
      case CloseCode.Replaced:
        return { stop: 'replaced' };
      case CloseCode.TokenRevoked:
        return { stop: 'revoked' };
      case CloseCode.Disconnected:
        return { stop: 'disconnected-by-administrator' };
      case CloseCode.TokenExpired:
        // A token that was fetched just now and is refused again will not get better.
        this.#refusals += 1;
        if (this.#refusals > 1) return { stop: 'unauthorized' };
        return { reason: 'token-expired', ...(this.#attempt === 0 && { afterMs: 0 }) };
      case CloseCode.Restart:
        return { reason: 'restart', afterMs };
      case CloseCode.TryAgainLater:
      case CloseCode.SlowConsumer:
      case CloseCode.RateLimit:
        return { reason: 'overloaded', afterMs };
    }
    if (code >= 4500 && code < 5000) return { stop: 'unauthorized' };
    return { reason: 'lost', afterMs };
  }

  /** Brings a fresh token, after so many milliseconds, while the old one is still good. */
  #refresh(afterMs: number): void {
    if (this.#refreshing) return;
    this.#refreshing = true;
    const { tokens, host, userId } = this.#context;
    const session = this.#session;
    const pause = (ms: number) => new Promise<void>((resolve) => void host.setTimeout(resolve, ms));
    const gone = () => session !== this.#session || this.#stopped;
    const refresh = async (): Promise<void> => {
      if (afterMs > 0) await pause(afterMs);
      while (!gone()) {
        const token = await tokens.fetch().catch(() => undefined);
        if (gone()) return;
        if (token !== undefined && tokens.userOf(token) !== userId) return session?.drop();
        if (token !== undefined && token !== tokens.previous) return session?.authenticate(token);
        // It failed, or came from a cache that has not noticed yet.
        await pause(REFRESH_MS);
      }
    };
    void refresh().finally(() => {
      this.#refreshing = false;
    });
  }

  /** What the server has asked for is kept; our own back-off ends early when the network is back. */
  #wait(toldMs: number | undefined, ownMs: number): Promise<void> {
    const { host } = this.#context;
    return new Promise((resolve) => {
      const timer = host.setTimeout(resolve, toldMs ?? ownMs);
      this.#wake = () => {
        if (toldMs && !this.#stopped) return;
        host.clearTimeout(timer);
        resolve();
      };
    });
  }

  /** The network is back, or the page is seen again. */
  #wakeUp(): void {
    if (this.#session) this.#session.probe();
    else this.#wake();
  }
}
