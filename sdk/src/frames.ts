/**
 * Frames from the server, checked before anything believes them. Owns what a readable frame is;
 * decides nothing.
 */

import type { DocumentKey, ServerDocument } from './command.js';
import type { EventType, Payloads } from './generated.js';
import { isObject } from './json.js';

/** A frame whose envelope was readable. */
export interface Frame {
  readonly type: string;
  readonly payload: Record<string, unknown>;
  readonly seq: number | undefined;
  readonly timestamp: string;
}

/** What an event does to documents. */
export interface DocumentEvent {
  readonly documents: [DocumentKey, ServerDocument | null][];
  /** The id that answers the command behind it. */
  readonly id: string;
  readonly version: number | undefined;
  readonly origin: Payloads['DRAFT_CREATED']['origin'];
}

/** The server has said what it can't have said: nothing after it is believed. */
export class FrameError extends Error {}

/** Throws `FrameError` unless `condition` holds. */
export function expect(condition: unknown, what: string): asserts condition {
  if (!condition) throw new FrameError(what);
}

/** True for an integer from 0 on that a number holds exactly. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Reads the text of a frame. */
export function decode(text: unknown): Frame {
  expect(typeof text === 'string', 'not a text');
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    frame = undefined;
  }
  expect(isObject(frame) && typeof frame.type === 'string', 'not a frame');
  const { type, payload = {}, seq, timestamp } = frame;
  expect(isObject(payload), `${type} without a payload`);
  expect(seq === undefined || isCount(seq), `${type} with a bad seq`);
  return { type, payload, seq, timestamp: typeof timestamp === 'string' ? timestamp : '' };
}

/** Checks the payload of `WELCOME`. */
export function welcome(payload: Frame['payload']): Payloads['WELCOME'] {
  const { limits, epoch, seq, lastMutationId, heartbeatMs } = payload;
  expect(isCount(lastMutationId) && isCount(heartbeatMs), 'WELCOME without numbers');
  expect(
    isObject(limits) &&
      isCount(limits.inFlight) &&
      isCount(limits.frameBytes) &&
      isCount(limits.documentBytes) &&
      limits.inFlight > 0,
    'WELCOME without limits',
  );
  expect(epoch === undefined || (typeof epoch === 'string' && isCount(seq)), 'WELCOME: position');
  return payload as unknown as Payloads['WELCOME'];
}

/** Checks the documents of one part of a snapshot. */
export function snapshotPart(payload: Frame['payload']): [DocumentKey, ServerDocument][] {
  const part: [DocumentKey, ServerDocument][] = [];
  for (const name of ['drafts', 'pending'] as const) {
    const documents = payload[name];
    expect(Array.isArray(documents), 'SNAPSHOT without documents');
    for (const item of documents) {
      const document = asDocument(item);
      part.push([`${name}/${document.id}`, document]);
    }
  }
  return part;
}

/** A document as the server tells it. */
export function asDocument(value: unknown): ServerDocument {
  expect(
    isObject(value) &&
      typeof value.id === 'string' &&
      isCount(value.version) &&
      isObject(value.data) &&
      typeof value.createdAt === 'string' &&
      typeof value.updatedAt === 'string',
    'not a document',
  );
  return value as unknown as ServerDocument;
}

const EVENT = /^((DRAFT|PENDING)_(CREATED|UPDATED|DELETED)|DRAFT_CONVERTED)$/;

/** What an event on documents does; undefined for a frame of another type. */
export function documentEvent({ type, payload }: Frame): DocumentEvent | undefined {
  if (!EVENT.test(type)) return undefined;
  const name = type.startsWith('DRAFT') ? 'drafts' : 'pending';
  const origin = (isObject(payload.origin) ? payload.origin : {}) as DocumentEvent['origin'];
  switch (type as EventType) {
    case 'DRAFT_DELETED':
    case 'PENDING_DELETED': {
      expect(typeof payload.id === 'string', `${type} without an id`);
      return {
        documents: [[`${name}/${payload.id}`, null]],
        id: payload.id,
        version: undefined,
        origin,
      };
    }
    case 'DRAFT_CONVERTED': {
      const document = asDocument(payload.document);
      return {
        documents: [
          [`drafts/${payload.draftId}`, null],
          [`pending/${document.id}`, document],
        ],
        id: document.id,
        version: document.version,
        origin,
      };
    }
    default: {
      const document = asDocument(payload.document);
      return {
        documents: [[`${name}/${document.id}`, document]],
        id: document.id,
        version: document.version,
        origin,
      };
    }
  }
}
