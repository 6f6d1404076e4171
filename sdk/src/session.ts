/**
 * One connection from its first frame to its end: `WELCOME`, recovery, events, and the window of
 * commands under way. Owns the rules of *Retrying* in docs/protocol.md. It feeds the space and never
 * decides whether there will be another connection: `connection.ts` does, from how this one ended.
 *
 *     opened → WELCOME → recovery (events or SNAPSHOT) → live
 *                 └ commands are sent from here on
 */

import type { JsonObject } from './api.js';
import { answerId, type Entry } from './command.js';
import type { Delta } from './delta.js';
import {
  asDocument,
  type DocumentEvent,
  decode,
  documentEvent,
  expect,
  type Frame,
  FrameError,
  isCount,
  snapshotPart,
  welcome,
} from './frames.js';
import {
  CloseCode,
  LIMITS,
  PASSING_CODES,
  type Payloads,
  type RejectionCode,
} from './generated.js';
import type { Host } from './host.js';
import { byteLength } from './json.js';
import type { Link, LinkEvents, Target } from './link.js';
import type { Space } from './space.js';

/** How long a PONG, or any other frame, may take before a connection counts as dead. */
const PROBE_MS = 5_000;
/** How long the server may take from the start of the handshake to `WELCOME`. */
const WELCOME_MS = 15_000;
/** How long a command that the server can't take now waits, where it does not say how long. */
const UNAVAILABLE_MS = 1_000;
/** Characters of a snapshot that are held until its last part is there. */
const SNAPSHOT_CHARS_MAX = 256 * 1024 * 1024;

/** How a session ended. */
export interface Ending {
  /** The close code; 1006 where the link broke or was given up. */
  readonly code: number;
  /** True where the server has accepted the handshake. */
  readonly opened: boolean;
  /** True where a `WELCOME` has come. */
  readonly welcomed: boolean;
  /** From `RECONNECT`. */
  readonly afterMs: number | undefined;
  /** True where the next session has to send one command at a time, to find the unreadable one. */
  readonly careful: boolean;
  /** True where the next session should follow at once: only the device's name has changed. */
  readonly renamed: boolean;
}

/** What a session needs besides its space. */
export interface SessionContext {
  readonly host: Host;
  readonly careful: boolean;
  open(target: Target, events: LinkEvents): Link;
  /** The state is the server's. */
  onLive(): void;
  /** The token ends soon, or the server has refused a fresh one. */
  onTokenExpiring(refused: boolean): void;
  /** An event that the application's backend has published. */
  onPublished(type: string, payload: JsonObject): void;
}

/** One connection. */
export class Session {
  /** Resolves when it is over. */
  readonly ended: Promise<Ending>;

  readonly #space: Space;
  readonly #target: Target;
  readonly #context: SessionContext;
  readonly #link: Link;
  #finish: (ending: Ending) => void = () => {};
  #over = false;
  #opened = false;
  #afterMs: number | undefined;
  #welcome: Payloads['WELCOME'] | undefined;
  #live = false;
  #snapshot: Delta['documents'] | undefined;
  #snapshotChars = 0;
  #heartbeat: unknown;
  #heard = false;
  #probe: unknown;

  /** The numbers that are under way, oldest first, with the bytes of their frames. */
  readonly #sent = new Map<number, number>();
  /** The next number to send; 0 while nothing may be sent. */
  #next = 0;
  /** The last number that the server had dealt with at the start, where it counts as we do. */
  #dealt = 0;
  /** Why nothing new is sent until all answers are there. */
  #halt: 'retry' | 'out-of-order' | 'reused' | undefined;
  #retryMs = 0;
  #expected = 0;
  #retryTimer: unknown;
  #rescanning = false;
  #careful: boolean;

  constructor(space: Space, target: Target, context: SessionContext) {
    this.#space = space;
    this.#target = target;
    this.#context = context;
    this.#careful = context.careful;
    this.ended = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.#arm(WELCOME_MS);
    this.#link = context.open(target, {
      opened: () => {
        this.#opened = true;
      },
      frame: (text) => this.#receive(text),
      closed: (code) => this.#closed(code),
    });
  }

  /** Asks for a sign of life; without one the connection is given up. */
  probe(): void {
    if (!this.#welcome || this.#probe !== undefined) return;
    this.#send('PING', {});
    this.#arm(PROBE_MS);
  }

  /** Brings a fresh token. */
  authenticate(token: string): void {
    if (this.#welcome) this.#send('AUTH', { token });
  }

  /** Ends the connection from this side. */
  drop(code = 1006, renamed = false): void {
    if (this.#over) return;
    this.#link.drop();
    this.#end(code, renamed);
  }

  /** Sends what the window and the queue allow. */
  pump(): void {
    const { limits } = this.#welcome ?? {};
    while (!this.#over && limits && this.#next > 0 && !this.#halt) {
      const window = this.#careful ? 1 : limits.inFlight;
      if (this.#sent.size >= window) return;
      // Do the numbers that count as dealt with stand for the same commands there? First their answers.
      if (this.#next > this.#dealt && this.#space.head <= this.#dealt) return;
      const entry = this.#space.entry(this.#next);
      if (!entry) return this.#fillGap();
      this.#sendCommand(entry, limits);
      this.#next += 1;
    }
  }

  // Frames.

  #receive(text: unknown): void {
    if (this.#over) return;
    try {
      this.#disarm();
      this.#heard = true;
      // The largest frame there is holds part of a snapshot, or one document and its envelope.
      const longest = 2 * Math.max(this.#welcome?.limits.frameBytes ?? 0, LIMITS.frameBytes);
      expect(typeof text === 'string' && text.length <= longest);
      this.#handle(decode(text), text.length);
    } catch (error) {
      this.drop();
      if (!(error instanceof FrameError)) throw error;
    }
  }

  #handle(frame: Frame, chars: number): void {
    if (!this.#welcome) {
      if (frame.type === 'WELCOME') this.#welcomed(welcome(frame.payload));
      else this.#reconnect(frame);
      return;
    }
    const event = documentEvent(frame);
    if (event) return this.#event(frame, event);
    const { type, payload } = frame;
    switch (type) {
      case 'SNAPSHOT':
        return this.#snapshotPart(frame, chars);
      case 'ACK':
        return this.#acknowledged(payload as Payloads['ACK']);
      case 'REJECTED':
        return this.#rejected(payload as Payloads['REJECTED']);
      case 'ERROR':
        return this.#error(payload as Payloads['ERROR']);
      case 'TOKEN_EXPIRING':
        return this.#context.onTokenExpiring(false);
      case 'RECONNECT':
        return this.#reconnect(frame);
      case 'WELCOME':
        throw new FrameError();
      case 'PONG':
      case 'AUTHENTICATED':
        return;
      default:
        this.#context.onPublished(type, payload as JsonObject);
    }
  }

  #reconnect({ type, payload }: Frame): void {
    expect(type === 'RECONNECT');
    if (isCount(payload.afterMs)) this.#afterMs = payload.afterMs;
  }

  #welcomed(told: Payloads['WELCOME']): void {
    const { userId, clientId } = this.#target;
    expect(told.userId === userId && told.clientId === clientId);
    this.#welcome = told;
    this.#beat(Math.max(told.heartbeatMs, 1_000));
    // A relay keeps no documents: nobody will say which of those known here are gone by now.
    if (told.epoch === undefined) this.#space.commit({ allDocuments: true, position: undefined });
    const issued = (this.#space.numbers?.next ?? 1) - 1;
    if (told.lastMutationId > issued) return this.#renumber(1, true);
    if (told.lastMutationId < this.#space.head - 1) {
      this.#renumber(told.lastMutationId + 1, false);
    } else {
      this.#dealt = told.lastMutationId;
      this.#next = this.#space.head;
      this.pump();
    }
    this.#checkLive();
  }

  #snapshotPart({ payload, seq, timestamp }: Frame, chars: number): void {
    const told = this.#welcome;
    expect(told?.epoch !== undefined && seq === told.seq && !this.#live);
    this.#snapshotChars += chars;
    expect(this.#snapshotChars <= SNAPSHOT_CHARS_MAX);
    this.#snapshot = [...(this.#snapshot ?? []), ...snapshotPart(payload)];
    if (payload.more === true) return;
    const documents = this.#snapshot;
    this.#snapshot = undefined;
    const position = { epoch: told.epoch, seq: told.seq ?? 0, at: timestamp };
    const dealt = this.#space.dealtUpTo(this.#dealt);
    this.#space.commit({ allDocuments: true, documents, position, ...dealt });
    this.#checkLive(true);
  }

  #event({ seq, timestamp }: Frame, event: DocumentEvent): void {
    const told = this.#welcome;
    const { position } = this.#space;
    let next = position;
    if (told?.epoch !== undefined) {
      expect(seq !== undefined && position?.epoch === told.epoch);
      if (seq <= position.seq) return;
      expect(seq === position.seq + 1);
      next = { epoch: told.epoch, seq, at: timestamp };
    }
    const own = this.#ownCommand(event);
    const answer = own && this.#space.accepted(own, event.version);
    this.#space.commit({ documents: event.documents, ...(next && { position: next }), ...answer });
    if (own) this.#answered(own.mutationId);
    this.#checkLive();
  }

  /**
   * The command of ours that an event came of. The event proves that it was accepted, so its layer
   * goes in the same step in which its effect comes, whatever others do before the `ACK`.
   */
  #ownCommand({ origin, id }: DocumentEvent): Entry | undefined {
    const { clientId, mutationId } = origin;
    if (clientId !== this.#target.clientId || mutationId === undefined) return undefined;
    const entry = this.#space.entry(mutationId);
    if (!entry || !(mutationId <= this.#dealt || this.#sent.has(mutationId))) return undefined;
    return entry.clientId === clientId && answerId(entry.command) === id ? entry : undefined;
  }

  #checkLive(swapped = false): void {
    const told = this.#welcome;
    if (!told || this.#live || this.#over) return;
    const { position } = this.#space;
    if (told.epoch !== undefined) {
      if (told.recovery === 'snapshot' ? !swapped : position?.epoch !== told.epoch) return;
      if ((position?.seq ?? 0) < (told.seq ?? 0)) return;
    }
    this.#live = true;
    this.#space.commit(this.#space.dealtUpTo(this.#dealt));
    this.#context.onLive();
  }

  // Commands and their answers.

  #sendCommand(entry: Entry, limits: Payloads['WELCOME']['limits']): void {
    const { mutationId } = entry;
    const text = frameText(entry);
    const bytes = byteLength(text);
    const { data } = entry.command.payload;
    if (bytes > limits.frameBytes || (data && tooLarge(data, limits.documentBytes))) {
      this.#giveUp(entry, 'TOO_LARGE', `more than ${limits.documentBytes} bytes`);
      const skip = this.#space.entry(mutationId);
      if (skip) this.#sendCommand(skip, limits);
      return;
    }
    this.#sent.set(mutationId, bytes);
    this.#space.markSent(entry);
    this.#link.send(text);
  }

  #giveUp(entry: Entry, code: RejectionCode, message: string): void {
    this.#space.commit(this.#space.givenUp(entry, code, message));
  }

  /** The next number is not in the queue: another tab has it, or the queue is at its end. */
  #fillGap(): void {
    if (this.#next >= (this.#space.numbers?.next ?? 1) || this.#rescanning) return;
    this.#rescanning = true;
    const missing = this.#next;
    this.#space
      .rescan()
      .catch(() => {})
      .then(() => {
        this.#rescanning = false;
        // It was answered on an earlier connection, before an older one was.
        if (this.#next === missing && !this.#space.entry(missing)) this.#next += 1;
        this.pump();
      });
  }

  #inFlight(mutationId: unknown): Entry | undefined {
    if (typeof mutationId !== 'number' || !this.#sent.has(mutationId)) return undefined;
    return this.#space.entry(mutationId);
  }

  #acknowledged({ mutationId, id, version, seq }: Payloads['ACK']): void {
    const entry = this.#inFlight(mutationId);
    if (!entry) return;
    const told = this.#welcome?.epoch !== undefined && isCount(seq) ? seq : 0;
    expect(told <= (this.#space.position?.seq ?? 0));
    expect(id === undefined || id === answerId(entry.command));
    this.#space.commit(this.#space.accepted(entry, isCount(version) ? version : undefined));
    this.#answered(entry.mutationId);
  }

  #rejected(told: Payloads['REJECTED']): void {
    const entry = this.#inFlight(told.mutationId);
    if (!entry) return;
    const { code, message, document, retryAfterMs, expected } = told;
    expect(typeof code === 'string');
    if (PASSING_CODES.includes(code)) {
      if (code === 'MUTATION_REUSED') this.#halt = 'reused';
      else if (code !== 'OUT_OF_ORDER') {
        if (this.#halt !== 'reused') this.#halt = 'retry';
        this.#retryMs = isCount(retryAfterMs) ? retryAfterMs : UNAVAILABLE_MS;
      } else {
        this.#halt ??= 'out-of-order';
        this.#expected = isCount(expected) ? expected : 0;
      }
    } else if (code === 'NOT_FOUND' && entry.command.type.endsWith('_DELETE')) {
      this.#space.commit(this.#space.accepted(entry));
    } else {
      const current = document && asDocument(document);
      this.#space.commit(
        this.#space.refused(entry, code as RejectionCode, String(message), current),
      );
    }
    this.#answered(entry.mutationId);
  }

  #answered(mutationId: number): void {
    this.#sent.delete(mutationId);
    if (this.#halt && this.#sent.size === 0) this.#resume();
    else this.pump();
  }

  /** Every answer is there: goes on after a command that could not be taken. */
  #resume(): void {
    const halt = this.#halt;
    if (halt === 'reused') return this.#renumber(1, true);
    const [expected, { head }] = [this.#expected, this.#space];
    if (halt === 'out-of-order' && expected !== head) {
      // A refusal that has used up no number: the server counts on from the one before.
      return expected > 0 && expected < head ? this.#renumber(expected, false) : this.drop();
    }
    if (this.#retryTimer !== undefined) return;
    this.#retryTimer = this.#context.host.setTimeout(
      () => {
        this.#retryTimer = undefined;
        this.#halt = undefined;
        this.#next = this.#space.head;
        this.pump();
      },
      halt === 'retry' ? Math.min(this.#retryMs, 60_000) : 0,
    );
  }

  #renumber(from: number, anew: boolean): void {
    this.#next = 0;
    this.#dealt = 0;
    this.#space.renumber(from, anew).then(
      () => {
        if (anew) return this.drop(1006, true);
        this.#halt = undefined;
        this.#next = this.#space.head;
        this.pump();
      },
      () => this.drop(),
    );
  }

  #error({ code, message }: Payloads['ERROR']): void {
    if (code === 'BAD_TOKEN' || code === 'WRONG_USER') return this.#context.onTokenExpiring(true);
    const [only] = this.#sent.keys();
    const entry = this.#inFlight(only);
    if (!entry) return;
    if (this.#sent.size === 1 && this.#careful) {
      this.#giveUp(entry, 'INVALID', String(message));
      this.#careful = false;
      this.drop();
      return;
    }
    this.#careful = true;
    this.drop();
  }

  // Time and end.

  #send(type: string, payload: object): void {
    if (!this.#over) this.#link.send(JSON.stringify({ type, payload }));
  }

  /** After a silent heartbeat: is anybody there? */
  #beat(ms: number): void {
    const { host } = this.#context;
    host.clearTimeout(this.#heartbeat);
    this.#heartbeat = host.setTimeout(() => {
      if (!this.#heard) this.probe();
      this.#heard = false;
      this.#beat(ms);
    }, ms);
  }

  #arm(ms: number): void {
    this.#probe = this.#context.host.setTimeout(() => this.drop(), ms);
  }

  #disarm(): void {
    this.#context.host.clearTimeout(this.#probe);
    this.#probe = undefined;
  }

  #closed(code: number): void {
    if (this.#over) return;
    if (code === CloseCode.TooBig) {
      // The one that was too big is the largest of those under way.
      const [largest] = [...this.#sent].sort(([, a], [, b]) => b - a);
      const entry = this.#inFlight(largest?.[0]);
      if (entry) this.#giveUp(entry, 'TOO_LARGE', 'the server takes no frame as large as this');
    }
    this.#end(code, false);
  }

  #end(code: number, renamed: boolean): void {
    if (this.#over) return;
    this.#over = true;
    const { host } = this.#context;
    this.#disarm();
    host.clearTimeout(this.#heartbeat);
    host.clearTimeout(this.#retryTimer);
    this.#finish({
      code,
      renamed,
      opened: this.#opened,
      welcomed: this.#welcome !== undefined,
      afterMs: this.#afterMs,
      careful: this.#careful,
    });
  }
}

/** The frame of a command. */
function frameText({ command, mutationId }: Entry): string {
  const payload = command.type === 'SKIP' ? {} : command.payload;
  return JSON.stringify({ type: command.type, mutationId, payload });
}

function tooLarge(data: JsonObject, bytes: number): boolean {
  return byteLength(JSON.stringify(data)) > bytes;
}
