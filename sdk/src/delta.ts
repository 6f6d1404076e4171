/**
 * What can change in a user's space, as a value: applied in the tab that found out, stored by it,
 * and sent to the other tabs, which apply the same. Owns shapes only.
 */

import type { Outcome, RejectedChange } from './api.js';
import type { DocumentKey, Entry, ServerDocument } from './command.js';
import type { Numbers } from './store.js';

/** How far the server's events are applied, and the time that stood on the last of them. */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
  readonly at: string;
}

/** A refused change with its place among the others. */
export type RejectedRecord = RejectedChange & { readonly order: number };

/** A change of a space. Members are applied together. */
export interface Delta {
  /** The documents below are all there are. */
  readonly allDocuments?: boolean;
  readonly documents?: readonly (readonly [DocumentKey, ServerDocument | null])[];
  readonly position?: Position | undefined;
  /** The entries below are all that had places before this one. */
  readonly allQueuedBefore?: number;
  /** Told by the leader: numbers replace those known. */
  readonly fromLeader?: boolean;
  /** New, or with another number or content. */
  readonly queued?: readonly Entry[];
  readonly numbers?: Numbers;
  /** The server's state holds what these did: they are no layers any more, but unanswered. */
  readonly dealt?: readonly string[];
  /** What became of commands. */
  readonly answered?: readonly (readonly [key: string, outcome: Outcome])[];
  /** These have left the queue. */
  readonly removed?: readonly string[];
  /** The refused changes below are all there are. */
  readonly allRejected?: boolean;
  readonly refused?: readonly RejectedRecord[];
  readonly discarded?: readonly string[];
}
