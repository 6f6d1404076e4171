/**
 * Frames from the server, checked before anything believes them. Owns what a readable frame is;
 * decides nothing.
 */

import type { DocumentKey, ServerDocument } from './command.js';
import type { Payloads } from './generated.js';
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

/** Throws `FrameError` unless `condition` holds: nobody reads a text there. */
export function expect(condition: unknown): asserts condition {
  if (!condition) throw new FrameError();
}

/** True for an integer from 0 on that a number holds exactly. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Reads the text of a frame. */
export function decode(text: unknown): Frame {
  expect(typeof text === 'string');
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    frame = undefined;
  }
  expect(isObject(frame) && typeof frame.type === 'string');
  const { type, payload = {}, seq, timestamp } = frame;
  expect(isObject(payload));
  expect(seq === undefined || isCount(seq));
  return { type, payload, seq, timestamp: typeof timestamp === 'string' ? timestamp : '' };
}

/** Checks the payload of `WELCOME`. */
export function welcome(payload: Frame['payload']): Payloads['WELCOME'] {
  const { limits, epoch, seq, lastMutationId, heartbeatMs } = payload;
  expect(isObject(limits));
  const { inFlight, frameBytes, documentBytes } = limits;
  const counts = [lastMutationId, heartbeatMs, inFlight, frameBytes, documentBytes];
  expect(counts.every(isCount) && inFlight !== 0);
  expect(epoch === undefined || (typeof epoch === 'string' && isCount(seq)));
  return payload as unknown as Payloads['WELCOME'];
}

/** Checks the documents of one part of a snapshot. */
export function snapshotPart(payload: Frame['payload']): [DocumentKey, ServerDocument][] {
  const part: [DocumentKey, ServerDocument][] = [];
  for (const name of ['drafts', 'pending'] as const) {
    const documents = payload[name];
    expect(Array.isArray(documents));
    for (const item of documents) {
      const document = asDocument(item);
      part.push([`${name}/${document.id}`, document]);
    }
  }
  return part;
}

/** A document as the server tells it. */
export function asDocument(value: unknown): ServerDocument {
  expect(isObject(value) && isCount(value.version) && isObject(value.data));
  const { id, createdAt, updatedAt } = value;
  expect([id, createdAt, updatedAt].every((text) => typeof text === 'string'));
  return value as unknown as ServerDocument;
}

const EVENT = /^((DRAFT|PENDING)_(CREATED|UPDATED|DELETED)|DRAFT_CONVERTED)$/;

/** What an event on documents does; undefined for a frame of another type. */
export function documentEvent({ type, payload }: Frame): DocumentEvent | undefined {
  if (!EVENT.test(type)) return undefined;
  const name = type.startsWith('DRAFT') ? 'drafts' : 'pending';
  const origin = (isObject(payload.origin) ? payload.origin : {}) as DocumentEvent['origin'];
  if (type.endsWith('_DELETED')) {
    const { id } = payload;
    expect(typeof id === 'string');
    return { documents: [[`${name}/${id}`, null]], id, version: undefined, origin };
  }
  const document = asDocument(payload.document);
  const { id, version } = document;
  const documents: DocumentEvent['documents'] =
    type === 'DRAFT_CONVERTED'
      ? [
          [`drafts/${payload.draftId}`, null],
          [`pending/${id}`, document],
        ]
      : [[`${name}/${id}`, document]];
  return { documents, id, version, origin };
}
