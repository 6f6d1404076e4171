/**
 * A link over plain HTTP, for networks that block WebSockets: `GET /api/sync` waits for events,
 * `POST /api/commands` carries commands. Owns the translation into the frames a WebSocket would
 * have carried, in an order in which it could have carried them.
 */

import type { isCount } from './frames.js';
import type { CloseCode, LIMITS } from './generated.js';
import type { Host } from './host.js';
import type { isObject } from './json.js';
import type { Link, LinkEvents, query, Target } from './link.js';
import type { claimsOf } from './tokens.js';

/** What the core has already. It is handed over: shared imports would make a third file of it. */
export interface Core {
  readonly CloseCode: typeof CloseCode;
  readonly LIMITS: typeof LIMITS;
  readonly claimsOf: typeof claimsOf;
  readonly isCount: typeof isCount;
  readonly isObject: typeof isObject;
  readonly query: typeof query;
}

/** How long before its end a token is renewed: as over a WebSocket, or a fifth of what it has left. */
const RENEW_MS = 60_000;
/** The longest wait for the end of a token in one piece: timers hold no more than 24 days. */
const DAY_MS = 24 * 60 * 60_000;
/** How long an answer may take beyond the time it was asked to wait. */
const ANSWER_MS = 15_000;
const BATCH_MAX = 32;

/** An answer that is no 200. */
class Refused extends Error {
  constructor(
    readonly status: number,
    readonly retryAfterMs: number | undefined,
    readonly problem: string,
  ) {
    super();
  }
}

/** What a call needs besides the address. */
interface Call {
  readonly body?: string;
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
  /** Told the server's time, as exact as its `Date` header; not called where that can't be read. */
  readonly onTime?: (ms: number) => void;
}

/** Both uses of HTTP: asking what the server thinks of a token, and polling. */
export function polling({ CloseCode, LIMITS, claimsOf, isCount, isObject, query }: Core) {
  const WAIT_MS = LIMITS.syncWaitMs - 5_000;

  /** Calls the server; JSON in and out. Rejects with `Refused`, or where it can't be reached. */
  async function callServer(
    fetcher: typeof fetch,
    host: Host,
    target: Pick<Target, 'url' | 'token'>,
    path: string,
    { body, waitMs = 0, signal, onTime }: Call = {},
  ): Promise<Record<string, unknown>> {
    const abort = new AbortController();
    const cancel = () => abort.abort();
    signal?.addEventListener('abort', cancel);
    const timer = host.setTimeout(cancel, waitMs + ANSWER_MS);
    try {
      const response = await fetcher(target.url + path, {
        ...(body !== undefined && { method: 'POST', body }),
        headers: {
          authorization: `Bearer ${target.token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        cache: 'no-store',
        signal: abort.signal,
      });
      const time = Date.parse(response.headers.get('date') ?? '');
      if (time) onTime?.(time);
      const json: unknown = await response.json().catch(() => undefined);
      const object = isObject(json) ? json : {};
      if (response.ok && isObject(json)) return object;
      const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
      const after = seconds >= 0 ? Math.min(seconds, 3_600) * 1_000 : undefined;
      throw new Refused(response.ok ? 502 : response.status, after, String(object.code));
    } finally {
      host.clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** What the server thinks of the token; undefined where nothing is wrong with it. */
  function askSession(fetcher: typeof fetch, host: Host, target: Target) {
    return callServer(fetcher, host, target, '/api/session').then(() => undefined, asClose);
  }

  /** The close code that says what an HTTP answer says, and how long to stay away. */
  function asClose(error: unknown): { code: number; afterMs?: number } {
    if (!(error instanceof Refused)) return { code: 1006 };
    const { status, retryAfterMs, problem } = error;
    const afterMs = retryAfterMs === undefined ? {} : { afterMs: retryAfterMs };
    if (status === 401) {
      const revoked = problem === 'TOKEN_REVOKED';
      return { code: revoked ? CloseCode.TokenRevoked : CloseCode.TokenExpired };
    }
    if (status === 413) return { code: CloseCode.TooBig };
    if (status === 429 || status === 503) return { code: CloseCode.TryAgainLater, ...afterMs };
    return { code: status >= 400 && status < 500 ? CloseCode.Policy : CloseCode.Internal };
  }

  /** Starts to poll. */
  function openPolling(
    fetcher: typeof fetch,
    host: Host,
    target: Target,
    events: LinkEvents,
  ): Link {
    const abort = new AbortController();
    abort.signal.addEventListener('abort', () => host.clearTimeout(expiry));
    let { token, position } = target;
    let lastMutationId = 0;
    let delivered = 0;
    let posting = false;
    let batchMax = BATCH_MAX;
    let expiry: unknown;
    /** How far the server's clock is ahead of this device's time that never goes back. */
    let aheadMs: number | undefined;
    const outbox: string[] = [];
    /** Answers that wait until the events before them were delivered. */
    const held: { text: string; seq: number }[] = [];

    const call = async (path: string, options: Call = {}): ReturnType<typeof callServer> => {
      const used = token;
      try {
        return await callServer(fetcher, host, { url: target.url, token: used }, path, {
          ...options,
          signal: abort.signal,
          onTime: (ms) => {
            aheadMs = ms - host.monotonic();
          },
        });
      } catch (error) {
        // It was on its way with a token that has been renewed meanwhile.
        if (used !== token && error instanceof Refused && error.status === 401) {
          return call(path, options);
        }
        throw error;
      }
    };
    const tell = (type: string, payload: object, more: object = {}) =>
      events.frame(JSON.stringify({ type, payload, ...more }));
    const close = (error: unknown) => {
      if (abort.signal.aborted) return;
      const { code, afterMs } = asClose(error);
      if (afterMs !== undefined) tell('RECONNECT', { afterMs });
      abort.abort();
      events.closed(code);
    };

    /**
     * Asks for a fresh token before this one ends. The device's clock may be wrong, so it is not asked:
     * the server's tells how long the token has left, or else its own life does, as if it were new.
     */
    const awaitExpiry = () => {
      host.clearTimeout(expiry);
      const { exp, iat } = claimsOf(token);
      const now = aheadMs === undefined ? Number(iat) * 1_000 : host.monotonic() + aheadMs;
      const left = Number(exp) * 1_000 - now;
      if (abort.signal.aborted || Number.isNaN(left)) return;
      const wait = left - Math.min(RENEW_MS, left / 5);
      if (wait > DAY_MS) expiry = host.setTimeout(awaitExpiry, DAY_MS);
      else expiry = host.setTimeout(() => tell('TOKEN_EXPIRING', {}), wait);
    };

    const release = () => {
      while (held[0] && held[0].seq <= delivered && !abort.signal.aborted) {
        events.frame((held.shift() as { text: string }).text);
      }
    };

    const deliver = (answer: Record<string, unknown>) => {
      const { snapshot, events: list, seq, at, epoch } = answer;
      if (isObject(snapshot)) {
        for (const part of parts(snapshot)) tell('SNAPSHOT', part, { seq, timestamp: at });
      }
      for (const frame of Array.isArray(list) ? list : []) events.frame(JSON.stringify(frame));
      delivered = isCount(seq) ? seq : delivered;
      position = { epoch: String(epoch), seq: delivered, at: String(at) };
      release();
    };

    const poll = async () => {
      const first = await call(`/api/sync?${query(target)}&waitMs=0`);
      if (abort.signal.aborted) return;
      events.opened();
      lastMutationId = Number(first.lastMutationId);
      const { epoch, seq, at } = first;
      tell('WELCOME', {
        ...{ epoch, seq, at, lastMutationId, connectionId: '', userId: target.userId },
        clientId: target.clientId,
        recovery: isObject(first.snapshot) ? 'snapshot' : 'delta',
        heartbeatMs: WAIT_MS,
        expiresAt: '',
        expiresInMs: 0,
        limits: LIMITS,
      });
      awaitExpiry();
      deliver(first);
      while (!abort.signal.aborted) {
        const path = `/api/sync?${query({ ...target, position })}&waitMs=${WAIT_MS}`;
        const answer = await call(path, { waitMs: WAIT_MS });
        if (abort.signal.aborted) return;
        if (answer.snapshot !== undefined || answer.epoch !== epoch) {
          // Another history: starts anew from what this device has.
          tell('RECONNECT', { afterMs: 0 });
          abort.abort();
          return events.closed(CloseCode.Restart);
        }
        deliver(answer);
      }
    };

    const post = async () => {
      while (outbox.length > 0 && !abort.signal.aborted) {
        const batch = nextBatch(outbox, batchMax);
        const body = `{"clientId":${JSON.stringify(target.clientId)},"commands":[${batch}]}`;
        try {
          const { answers } = await call('/api/commands', { body });
          outbox.splice(0, batch.length);
          for (const answer of Array.isArray(answers) ? answers : []) {
            const { seq } = isObject(answer) && isObject(answer.payload) ? answer.payload : {};
            held.push({ text: JSON.stringify(answer), seq: isCount(seq) ? seq : 0 });
          }
          release();
        } catch (error) {
          // The server may take fewer commands, or fewer bytes, at a time.
          const large = error instanceof Refused && (error.status === 400 || error.status === 413);
          if (!large || batch.length === 1) throw error;
          batchMax = 1;
        }
      }
      posting = false;
    };

    poll().catch(close);
    return {
      send(text) {
        const frame = JSON.parse(text) as { type: string; payload: { token?: string } };
        if (frame.type === 'PING') return queueMicrotask(() => tell('PONG', {}));
        if (frame.type === 'AUTH') {
          token = frame.payload.token ?? token;
          return awaitExpiry();
        }
        outbox.push(text);
        if (posting) return;
        posting = true;
        // What is sent in the same step goes in one call.
        queueMicrotask(() => post().catch(close));
      },
      drop: () => abort.abort(),
    };
  }

  /** As many commands as fit into one call, but at least one. */
  function nextBatch(outbox: readonly string[], max: number): string[] {
    const batch: string[] = [];
    let chars = 0;
    for (const text of outbox) {
      chars += text.length;
      if (batch.length > 0 && (batch.length >= max || chars > LIMITS.frameBytes)) break;
      batch.push(text);
    }
    return batch;
  }

  /** A snapshot in parts of the size that a WebSocket would have brought. */
  function* parts(snapshot: Record<string, unknown>): Generator<object> {
    let part: Record<'drafts' | 'pending', unknown[]> = { drafts: [], pending: [] };
    let chars = 0;
    for (const name of ['drafts', 'pending'] as const) {
      const documents = snapshot[name];
      for (const document of Array.isArray(documents) ? documents : []) {
        const size = JSON.stringify(document).length;
        if (chars > 0 && chars + size > LIMITS.snapshotPartBytes) {
          yield { reason: snapshot.reason, ...part, more: true };
          part = { drafts: [], pending: [] };
          chars = 0;
        }
        part[name].push(document);
        chars += size;
      }
    }
    yield { reason: snapshot.reason, ...part, more: false };
  }

  return { askSession, openPolling };
}
