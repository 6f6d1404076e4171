/**
 * Commands: what each does to documents, and their places in a queue. The optimistic half of the
 * server's rules: a command changes here exactly what it will change there.
 */

import type { JsonObject } from './api.js';
import type { CommandType, Payloads } from './generated.js';
import { merge } from './json.js';

/** A document as the server tells it. */
export type ServerDocument = Payloads['DRAFT_CREATED']['document'];
/** The two collections. */
export type CollectionName = 'drafts' | 'pending';
/** `drafts/<id>` or `pending/<id>`. */
export type DocumentKey = `${CollectionName}/${string}`;

/** A command's content, as it stands in its frame. */
export interface Command {
  readonly type: CommandType;
  readonly payload: {
    readonly id: string;
    readonly data?: JsonObject;
    readonly patch?: JsonObject;
    readonly ifVersion?: number;
    readonly pendingId?: string;
  };
}

/** A command in the queue. */
export interface Entry {
  /** Names it in all tabs, whatever its number. */
  readonly key: string;
  /** What to send; a `SKIP` in the place of a command that was given up. */
  readonly command: Command;
  /** Milliseconds since 1970 on this device. */
  readonly writtenAt: number;
  /** Its place in the queue; from `UNSAVED_ORDER` on while it is not durable. */
  readonly order: number;
  /** The device whose number it has. */
  readonly clientId: string;
  /** 0 while it is not durable. */
  readonly mutationId: number;
}

/** Entries that are not durable yet stand behind all others. */
export const UNSAVED_ORDER = 2 ** 50;

/** The collection a command is about. */
export function collectionOf(command: Command): CollectionName {
  return command.type.startsWith('PENDING') ? 'pending' : 'drafts';
}

/** The documents a command may change. */
export function keysOf(command: Command): DocumentKey[] {
  if (command.type === 'SKIP') return [];
  const keys: DocumentKey[] = [`${collectionOf(command)}/${command.payload.id}`];
  if (command.type === 'DRAFT_CONVERT') keys.push(`pending/${command.payload.pendingId}`);
  return keys;
}

/** The id that answers a command: the document's, of a conversion the pending order's. */
export function answerId(command: Command): string {
  return command.payload.pendingId ?? command.payload.id;
}

/** The document `key` after the command, given every document before it. */
export function effect(
  { command, writtenAt }: Entry,
  key: DocumentKey,
  before: (key: DocumentKey) => ServerDocument | undefined,
): ServerDocument | undefined {
  const { id, data, patch, ifVersion, pendingId } = command.payload;
  const old = before(key);
  const source = before(keysOf(command)[0] ?? key);
  const create = (newId: string, newData: JsonObject): ServerDocument => {
    const time = new Date(writtenAt).toISOString();
    return { id: newId, version: 0, data: newData, createdAt: time, updatedAt: time };
  };
  if (command.type.endsWith('_CREATE')) return old ?? create(id, data ?? {});
  if (!source || (ifVersion !== undefined && ifVersion !== source.version)) return old;
  if (command.type === 'DRAFT_CONVERT') {
    if (before(`pending/${pendingId}`)) return old;
    if (key.startsWith('drafts/')) return undefined;
    return create(pendingId ?? id, merge(source.data, patch ?? {}) as JsonObject);
  }
  if (command.type.endsWith('_DELETE')) return undefined;
  return {
    ...source,
    version: source.version + 1,
    data: (data ?? merge(source.data, patch ?? {})) as JsonObject,
  };
}
