/**
 * The public types: what an application sees of a client. Owns shapes only; nothing here runs.
 */

import type { CommandType, RejectionCode } from './generated.js';
import type { Host } from './host.js';
import type { Storage } from './storage.js';

/** Any value that JSON can hold. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
/** A JSON object: what a document's `data` is. */
export type JsonObject = { readonly [name: string]: JsonValue };
/** A JSON Merge Patch (RFC 7396): members to set, `null` to remove; objects merge, arrays replace. */
export type Patch<T> = string extends keyof T
  ? JsonObject
  : { readonly [K in keyof T]?: (T[K] extends object ? Patch<T[K]> | T[K] : T[K]) | null };

/**
 * A draft or a pending order as this device sees it: the server's, with this device's own changes
 * on top. Treat it as immutable: an edit makes a new one, an unchanged document stays the same
 * object.
 */
export interface Document<T = JsonObject> {
  readonly id: string;
  /** The server's version, counted on by own changes under way; 0 and up where it has none yet. */
  readonly version: number;
  readonly data: T;
  /** RFC 3339. This device's clock where the server has not told it yet. */
  readonly createdAt: string;
  /** RFC 3339. */
  readonly updatedAt: string;
  /** False while a change of this device is not yet on the server. */
  readonly synced: boolean;
}

/** A value that changes: what `useSyncExternalStore` wants. */
export interface Observable<T> {
  /** The value now; the same reference until it changes. */
  get(): T;
  /** Calls `listener` after each change; the result ends that. */
  subscribe(listener: () => void): () => void;
}

/** Why a change was refused, besides the server's codes. */
export type LocalRejectionCode =
  /** This device could not store the change (disk full, storage gone). It was never sent. */
  | 'STORAGE_FAILED'
  /** `queueMax` changes wait already. It was never sent. */
  | 'QUEUE_FULL';

/** What became of a change. */
export type Outcome =
  | {
      readonly status: 'accepted';
      /** The document (of a conversion: the pending order). */
      readonly id: string;
      /** Its new version; absent on deletes, and where the server no longer remembers. */
      readonly version?: number;
    }
  | {
      readonly status: 'rejected';
      readonly code: RejectionCode | LocalRejectionCode;
      /** For people who debug; never data. */
      readonly message: string;
      /** The server's current document, where it told it. */
      readonly document?: Document;
    };

/**
 * Where a change stands. `saving`: visible, not yet on this device's disk. `queued`: durable, waits
 * for its turn. `sent`: on its way. `accepted` and `rejected`: settled.
 */
export type ChangeState = 'saving' | 'queued' | 'sent' | 'accepted' | 'rejected';

/** A write: visible at once, settled when the server has answered. */
export interface Change {
  /** The document it is about (of a conversion: the pending order). */
  readonly id: string;
  readonly state: ChangeState;
  /** Resolves as soon as the change is durable on this device or settled. Never rejects. */
  readonly saved: Promise<void>;
  /** Resolves with the server's answer, however long that takes. Never rejects. */
  readonly settled: Promise<Outcome>;
}

/** What may go with an edit. */
export interface EditOptions {
  /** Only if the document is at this version (else `VERSION_CONFLICT`). */
  readonly ifVersion?: number;
}

/** One of the user's two name spaces of documents. */
export interface Collection<T = JsonObject> {
  /** The document, or undefined where there is none. */
  get(id: string): Document<T> | undefined;
  /** All documents by `createdAt`, then `id`; the same array until something changes. */
  list(): readonly Document<T>[];
  /** Calls `listener` after each change of the collection, or of one document. */
  subscribe(listener: () => void): () => void;
  subscribe(id: string, listener: () => void): () => void;
  /**
   * Creates a document; without an id a UUIDv7 is made here.
   * @throws TypeError, here and below: not JSON, over 62 levels, lone surrogates, a bad id.
   */
  create(data: T, options?: { readonly id?: string }): Change;
  /** Changes members by a merge patch: two devices that edit different members keep both edits. */
  update(id: string, patch: Patch<T>, options?: EditOptions): Change;
  /** Puts `data` in the old data's place. */
  replace(id: string, data: T, options?: EditOptions): Change;
  /** Removes the document. One that is gone already counts as removed. */
  delete(id: string, options?: EditOptions): Change;
}

/** The drafts: a collection whose documents can become pending orders. */
export interface Drafts<T = JsonObject> extends Collection<T> {
  /** Turns a draft into a pending order, in one step on every device. */
  convert(
    id: string,
    options?: EditOptions & { readonly pendingId?: string; readonly patch?: Patch<T> },
  ): Change;
}

/** Why there is no connection and none is being made. */
export type DisconnectReason =
  /** `connect()` was not called yet. */
  | 'initial'
  /** `disconnect()` was called. */
  | 'closed'
  /** The server does not accept the token: sign in again, then `connect()`. */
  | 'unauthorized'
  /** The token belongs to somebody else than `userId`. */
  | 'wrong-user'
  /** The token, or all of the user's, were revoked: sign in again, then `connect()`. */
  | 'revoked'
  /** An administrator has ended this connection. */
  | 'disconnected-by-administrator'
  /** Another client connected with the same `clientId`. */
  | 'replaced'
  /** Client and server do not understand each other, or this origin is not let in: a bug. */
  | 'protocol';

/** Why a connection is being made. */
export type ConnectingReason =
  /** The first attempt after `connect()`. */
  | 'initial'
  /** `getToken` failed or took too long. */
  | 'token-failed'
  /** The server can't be reached, or the connection was lost. */
  | 'lost'
  /** The server restarts and said so. */
  | 'restart'
  /** The token has ended. */
  | 'token-expired'
  /** The server asks for patience: too many connections, overloaded, a slow device. */
  | 'overloaded';

/** Where the connection stands. In a tab that does not lead: the leader's. */
export type ConnectionState =
  | { readonly status: 'disconnected'; readonly reason: DisconnectReason }
  | {
      readonly status: 'connecting';
      readonly reason: ConnectingReason;
      /** Attempts since the last stable connection, from 0. */
      readonly attempt: number;
    }
  | {
      /** The state is the server's, and live. */
      readonly status: 'connected';
      readonly transport: 'websocket' | 'http';
      readonly userId: string;
    };

/** The changes that wait. */
export interface QueueState {
  /** Changes the server has not answered, of all tabs. */
  readonly length: number;
  /** False where changes live in memory only: no storage, or it failed to open. */
  readonly durable: boolean;
  /** True in the one tab that holds the connection. */
  readonly leader: boolean;
}

/** A change that was refused for good. It waits for the app to retry or discard it. */
export interface RejectedChange {
  readonly key: string;
  readonly type: CommandType;
  readonly collection: 'drafts' | 'pending';
  /** The document it was about. */
  readonly id: string;
  /** What was asked for: `data`, `patch`, `pendingId`, `ifVersion`. */
  readonly payload: JsonObject;
  readonly code: RejectionCode | LocalRejectionCode;
  readonly message: string;
  /** The server's document at that moment, where it told it. */
  readonly document?: Document;
}

/** The refused changes, oldest first; at most 1,000 are kept. */
export interface Rejected extends Observable<readonly RejectedChange[]> {
  /** Sends it again as a new change, without its `ifVersion`. Undefined where it is gone. */
  retry(key: string): Change | undefined;
  /** Forgets it. */
  discard(key: string): void;
}

/** What `createClient` takes. Times are milliseconds. */
export interface ClientOptions {
  /** The server: `https://drafts.example.com` (`wss:` works as well). */
  readonly url: string;
  /**
   * Fetches the token of the signed-in user. Called before each connect and before the token ends.
   * May fail or hang: it is given `tokenTimeoutMs`, then tried again with back-off.
   */
  readonly getToken: (signal: AbortSignal) => string | Promise<string>;
  /**
   * The signed-in user. With it the last state is shown, and changes are durable, before any token
   * could be fetched; without it both start when `getToken` has answered for the first time.
   */
  readonly userId?: string;
  /** Where state and queue are kept. IndexedDB where there is one, else memory. */
  readonly storage?: Storage;
  /** First name of this device, 1–64 of `A-Z a-z 0-9 . _ -`. A stored one wins. */
  readonly clientId?: string;
  /** The WebSocket constructor; `null` for HTTP only. The global one where left out. */
  readonly WebSocket?: WebSocketConstructor | null;
  /** The fetch function; `null` for WebSocket only. The global one where left out. */
  readonly fetch?: typeof fetch | null;
  /** Share one connection among the tabs of a browser. True where left out. */
  readonly tabs?: boolean;
  /** Changes that may wait; more are refused with `QUEUE_FULL`. 10,000 where left out. */
  readonly queueMax?: number;
  /** How long `getToken` may take. 15,000 where left out. */
  readonly tokenTimeoutMs?: number;
  /** Clock, timers, randomness and browser signals, for tests. */
  readonly host?: Partial<Host>;
}

/** The part of the WebSocket constructor that is used: the browser's, React Native's, `ws`. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/** The part of a WebSocket that is used. */
export interface WebSocketLike {
  // biome-ignore lint/suspicious/noExplicitAny: implementations differ in their event types
  onopen: ((event: any) => void) | null;
  // biome-ignore lint/suspicious/noExplicitAny: implementations differ in their event types
  onmessage: ((event: any) => void) | null;
  // biome-ignore lint/suspicious/noExplicitAny: implementations differ in their event types
  onclose: ((event: any) => void) | null;
  // biome-ignore lint/suspicious/noExplicitAny: implementations differ in their event types
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

/** A user's drafts and pending orders on this device, kept in step. */
export interface Client<Draft = JsonObject, Pending = Draft> {
  readonly drafts: Drafts<Draft>;
  readonly pending: Collection<Pending>;
  /** Where the connection stands, and why. */
  readonly connection: Observable<ConnectionState>;
  /** How many changes wait. */
  readonly queue: Observable<QueueState>;
  /** Changes the server refused for good. */
  readonly rejected: Rejected;
  /**
   * Calls `listener` once after each change of any of the above: drafts, pending, connection, queue,
   * rejected. The result ends that.
   */
  subscribe(listener: () => void): () => void;
  /** Starts to connect, and from then on reconnects by itself. Does nothing where it does so. */
  connect(): void;
  /** Ends the connection; resolves when everything is stored. Changes keep queueing. */
  disconnect(): Promise<void>;
  /** Disconnects and removes the user's state and queue from this device. Unsent changes are lost. */
  forget(): Promise<void>;
  /**
   * Resolves when connected and up to date.
   * @throws NotReadyError after `timeoutMs` (30,000), or at once when the client stops connecting.
   */
  ready(timeoutMs?: number): Promise<void>;
  /** Calls `listener` for each event of this type that the backend publishes. */
  on(type: string, listener: (payload: JsonObject) => void): () => void;
}
