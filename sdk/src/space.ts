/**
 * One user's documents, queue and refused changes on this device. Owns what is in memory and that
 * every change of it goes the same way: applied here, stored, told to the other tabs. Knows nothing
 * of connections: `session.ts` feeds it what the server says, `client.ts` what the application does.
 */

import type { Change, ChangeState, Document, Outcome, RejectedChange } from './api.js';
import {
  answerId,
  type Command,
  collectionOf,
  type DocumentKey,
  type Entry,
  type ServerDocument,
  UNSAVED_ORDER,
} from './command.js';
import type { Delta, Position, RejectedRecord } from './delta.js';
import { Listeners } from './observable.js';
import { Replica } from './replica.js';
import type { Numbers, Store, Stored } from './store.js';

const REJECTED_MAX = 1_000;
/** Keys of answered commands that are remembered, for news of them that arrives late. */
const GONE_MAX = 2_000;

/** A change as the application holds it. */
class Handle implements Change {
  state: ChangeState = 'saving';
  readonly id: string;
  readonly saved: Promise<void>;
  readonly settled: Promise<Outcome>;
  #markSaved: () => void = () => {};
  #settle: (outcome: Outcome) => void = () => {};

  constructor(id: string) {
    this.id = id;
    this.saved = new Promise((resolve) => {
      this.#markSaved = resolve;
    });
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  markQueued(): void {
    if (this.state === 'saving') this.state = 'queued';
    this.#markSaved();
  }

  settle(outcome: Outcome): void {
    this.state = outcome.status;
    this.#markSaved();
    this.#settle(outcome);
  }
}

/** One user's state on this device. */
export class Space {
  readonly replica = new Replica();
  position: Position | undefined;
  /** Undefined until the store is open. */
  numbers: Numbers | undefined;
  /** Told which documents look different, after each change; also when only the queue changed. */
  readonly changes = new Listeners<[keys: ReadonlySet<DocumentKey>]>();
  /** Told what the other tabs have to apply. */
  onShare: (delta: Delta) => void = () => {};

  #entries = new Map<string, Entry>();
  #byNumber = new Map<number, Entry>();
  readonly #dealt = new Set<string>();
  readonly #gone = new Set<string>();
  readonly #handles = new Map<string, Handle>();
  #rejected = new Map<string, RejectedRecord>();
  #rejectedList: readonly RejectedChange[] = [];
  #store: Store | undefined;
  #unsaved = 0;
  readonly #queueMax: number;
  readonly #now: () => number;
  readonly #newKey: () => string;

  constructor(queueMax: number, now: () => number, newKey: () => string) {
    this.#queueMax = queueMax;
    this.#now = now;
    this.#newKey = newKey;
  }

  // What there is.

  get length(): number {
    return this.#entries.size;
  }

  get durable(): boolean {
    return this.#store?.durable ?? false;
  }

  get rejected(): readonly RejectedChange[] {
    return this.#rejectedList;
  }

  /** The durable command with that number of this device. */
  entry(mutationId: number): Entry | undefined {
    return this.#byNumber.get(mutationId);
  }

  /** The number of the oldest unanswered command, or the next number where there is none. */
  get head(): number {
    for (const entry of this.#entries.values()) if (entry.mutationId > 0) return entry.mutationId;
    return this.numbers?.next ?? 1;
  }

  /** Everything, for another tab. Commands that are not durable stay out. */
  whole(): Delta {
    return {
      allDocuments: true,
      documents: [...this.replica.server],
      position: this.position,
      fromLeader: true,
      queued: this.#durableEntries(),
      removed: [...this.#gone],
      ...(this.numbers && { numbers: this.numbers }),
      dealt: [...this.#dealt],
      allRejected: true,
      refused: [...this.#rejected.values()],
    };
  }

  // What the application does.

  /** Takes a command: visible at once, durable soon. */
  write(command: Command): Change {
    const handle = new Handle(answerId(command));
    const entry: Entry = {
      key: this.#newKey(),
      command,
      writtenAt: this.#now(),
      order: UNSAVED_ORDER + ++this.#unsaved,
      clientId: '',
      mutationId: 0,
    };
    this.#handles.set(entry.key, handle);
    if (this.#entries.size >= this.#queueMax) {
      this.#refuseHere(entry, 'QUEUE_FULL', `${this.#queueMax} changes wait already`);
      return handle;
    }
    this.apply({ queued: [entry] });
    this.#store?.append(entry);
    return handle;
  }

  retry(key: string): Change | undefined {
    const refused = this.#rejected.get(key);
    if (!refused) return undefined;
    const { ifVersion: _, ...payload } = refused.payload;
    this.discard(key);
    return this.write({ type: refused.type, payload: payload as Command['payload'] });
  }

  discard(key: string): void {
    if (this.#rejected.has(key)) this.commit({ discarded: [key] });
  }

  // What the server says, told by the session of the leading tab.

  /** Marks a command as sent, for its `Change`. */
  markSent(entry: Entry): void {
    const handle = this.#handles.get(entry.key);
    if (handle?.state === 'queued') handle.state = 'sent';
  }

  /** What goes with an accepted command. */
  accepted(entry: Entry, version?: number): Delta {
    const id = answerId(entry.command);
    const outcome: Outcome = { status: 'accepted', id, ...(version !== undefined && { version }) };
    return { answered: [[entry.key, outcome]], removed: [entry.key] };
  }

  /** What goes with a command that was refused for good. */
  refused(
    entry: Entry,
    code: RejectedChange['code'],
    message: string,
    document?: ServerDocument,
  ): Delta {
    const { type, payload } = entry.command;
    const removed = [entry.key];
    // A command that was given up is told once: its SKIP is answered later, and is nobody's news.
    if (type === 'SKIP') return { removed };
    const record: RejectedRecord = {
      key: entry.key,
      type,
      collection: collectionOf(entry.command),
      id: payload.id,
      payload,
      code,
      message,
      order: entry.order,
      ...(document && { document: { ...document, synced: true } as Document }),
    };
    return { refused: [record], answered: [[entry.key, refusal(record)]], removed };
  }

  /** What goes with a command that the server can't be given: a `SKIP` takes its number. */
  givenUp(entry: Entry, code: RejectedChange['code'], message: string): Delta {
    const skip: Entry = {
      ...entry,
      command: { type: 'SKIP', payload: { id: entry.command.payload.id } },
    };
    return { ...this.refused(entry, code, message), removed: [], queued: [skip] };
  }

  /** What goes with a state of the server that holds the commands up to this number already. */
  dealtUpTo(mutationId: number): Delta {
    const dealt = this.#durableEntries().filter((entry) => entry.mutationId <= mutationId);
    return { dealt: dealt.map(({ key }) => key) };
  }

  /** Numbers the queue anew; rejects where that can't be stored. */
  async renumber(from: number, anew: boolean): Promise<void> {
    if (!this.#store) return;
    const { queue, numbers } = await this.#store.renumber(from, anew);
    this.#dealt.clear();
    this.#share({ fromLeader: true, queued: queue, numbers });
  }

  /** Looks for commands of other tabs that were stored, but not told. */
  async rescan(): Promise<void> {
    if (!this.#store) return;
    const { queue, numbers } = await this.#store.load();
    this.#share({ queued: queue.filter(({ key }) => !this.#entries.has(key)), numbers });
  }

  // How changes are made.

  /** Attaches the store and shows what is in it. Changes made before are stored now. */
  open(store: Store, stored: Stored): void {
    this.#store = store;
    store.onSaved = (entries, numbers) => this.#share({ queued: entries, numbers });
    store.onFailed = (entries) => {
      for (const entry of entries) {
        this.#refuseHere(entry, 'STORAGE_FAILED', 'this device could not store the change');
      }
    };
    this.takeOver(stored);
    for (const entry of this.#entries.values()) if (entry.mutationId === 0) store.append(entry);
  }

  /**
   * Takes what is stored for the truth, as the tab that leads from now on. Where this tab was told
   * of later events than were stored, it keeps them and stores them itself.
   */
  takeOver(stored: Stored): void {
    const mine = this.position;
    const kept =
      mine !== undefined && mine.epoch === stored.position?.epoch && mine.seq > stored.position.seq;
    // What this tab saw answered is answered, whether or not that was stored in time.
    for (const entry of stored.queue)
      if (this.#gone.has(entry.key)) this.#store?.removeEntry(entry);
    this.apply({
      allDocuments: !kept,
      ...(!kept && { documents: stored.documents, position: stored.position }),
      allQueuedBefore: stored.numbers.order,
      fromLeader: true,
      queued: stored.queue,
      numbers: stored.numbers,
      allRejected: true,
      refused: stored.rejected,
    });
    if (kept) {
      for (const [key] of stored.documents) {
        if (!this.replica.server.has(key)) this.#store?.putDocument(key, null);
      }
      for (const [key, document] of this.replica.server) this.#store?.putDocument(key, document);
      this.#store?.putPosition(mine);
    }
  }

  /** Applies a change, stores it and tells the other tabs. */
  commit(delta: Delta): void {
    const store = this.#store;
    if (store) {
      if (delta.allDocuments) {
        const kept = new Set(delta.documents?.map(([key]) => key));
        for (const key of this.replica.server.keys()) {
          if (!kept.has(key)) store.putDocument(key, null);
        }
      }
      // Documents without a position can't be brought up to date later: they are not kept.
      if (delta.position) {
        for (const [key, document] of delta.documents ?? []) store.putDocument(key, document);
      }
      if ('position' in delta) store.putPosition(delta.position);
      for (const entry of delta.queued ?? []) store.putEntry(entry);
      for (const record of delta.refused ?? []) store.putRejected(record.key, record);
      for (const key of delta.discarded ?? []) store.putRejected(key);
      for (const key of delta.removed ?? []) {
        const entry = this.#entries.get(key);
        if (entry) store.removeEntry(entry);
      }
    }
    this.#share(delta);
  }

  /** Applies a change that was made, and stored, elsewhere. */
  apply(delta: Delta): void {
    const touched = new Set<DocumentKey>();
    this.#applyDocuments(delta, touched);
    this.#applyRejected(delta);
    this.#applyQueue(delta, touched);
    this.changes.notify(this.replica.refresh(touched));
  }

  #share(delta: Delta): void {
    this.apply(delta);
    this.onShare(delta);
  }

  #applyDocuments(delta: Delta, touched: Set<DocumentKey>): void {
    const { server } = this.replica;
    if (delta.allDocuments) {
      for (const key of server.keys()) touched.add(key);
      server.clear();
    }
    for (const [key, document] of delta.documents ?? []) {
      touched.add(key);
      if (document) server.set(key, document);
      else server.delete(key);
    }
    if ('position' in delta) this.position = delta.position;
  }

  #applyQueue(delta: Delta, touched: Set<DocumentKey>): void {
    if (delta.numbers) this.#applyNumbers(delta.numbers, delta.fromLeader === true);
    for (const [key, outcome] of delta.answered ?? []) this.#settle(key, outcome);
    if (delta.allQueuedBefore) this.#dropOthers(delta.allQueuedBefore, delta.queued ?? [], touched);
    for (const key of delta.removed ?? []) this.#drop(key, touched);
    for (const key of delta.dealt ?? []) {
      const entry = this.#entries.get(key);
      if (!entry) continue;
      this.#dealt.add(key);
      this.#unlayer(entry, touched);
    }
    for (const entry of delta.queued ?? []) {
      // Another tab's news of a command may be older than what the leader has made of it.
      const known = this.#entries.get(entry.key);
      const late =
        known && known.mutationId > 0 && !delta.fromLeader && entry.command.type !== 'SKIP';
      if (!late && !this.#gone.has(entry.key)) this.#put(entry, touched);
    }
    if (delta.queued?.length) this.#sort();
  }

  #applyNumbers(numbers: Numbers, anew: boolean): void {
    const old = this.numbers;
    const newer = old?.clientId === numbers.clientId && numbers.order > old.order;
    if (!old || anew || newer) this.numbers = numbers;
  }

  /** What had a place before `order` and is not among these has left the queue meanwhile. */
  #dropOthers(order: number, queued: readonly Entry[], touched: Set<DocumentKey>): void {
    const keys = new Set(queued.map(({ key }) => key));
    this.#dealt.clear();
    for (const entry of this.#durableEntries()) {
      if (entry.order < order && !keys.has(entry.key)) this.#drop(entry.key, touched);
    }
  }

  #put(entry: Entry, touched: Set<DocumentKey>): void {
    const old = this.#entries.get(entry.key);
    if (old) {
      this.#unlayer(old, touched);
      if (this.#byNumber.get(old.mutationId) === old) this.#byNumber.delete(old.mutationId);
    }
    this.#entries.set(entry.key, entry);
    if (entry.mutationId > 0) {
      this.#byNumber.set(entry.mutationId, entry);
      this.#handles.get(entry.key)?.markQueued();
    }
    if (this.#dealt.has(entry.key)) return;
    this.replica.addLayer(entry, touched);
  }

  /** Commands of several tabs need not become known in the order of their places. */
  #sort(): void {
    let last = 0;
    for (const { order } of this.#entries.values()) {
      if (order < last) {
        this.#entries = new Map([...this.#entries].sort(([, a], [, b]) => a.order - b.order));
        return;
      }
      last = order;
    }
  }

  #drop(key: string, touched: Set<DocumentKey>): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#settleUntold(entry);
    this.#dealt.delete(key);
    this.#gone.add(key);
    for (const oldest of this.#gone) {
      if (this.#gone.size <= GONE_MAX) break;
      this.#gone.delete(oldest);
    }
    if (this.#byNumber.get(entry.mutationId) === entry) this.#byNumber.delete(entry.mutationId);
    this.#unlayer(entry, touched);
  }

  /** Where another tab led and the answer itself did not reach this one. */
  #settleUntold({ key, command }: Entry): void {
    const refused = this.#rejected.get(key);
    this.#settle(key, refused ? refusal(refused) : { status: 'accepted', id: answerId(command) });
  }

  #settle(key: string, outcome: Outcome): void {
    this.#handles.get(key)?.settle(outcome);
    this.#handles.delete(key);
  }

  #unlayer(entry: Entry, touched: Set<DocumentKey>): void {
    this.replica.removeLayer(entry, touched);
  }

  #applyRejected(delta: Delta): void {
    if (!delta.allRejected && !delta.refused?.length && !delta.discarded?.length) return;
    if (delta.allRejected) this.#rejected = new Map();
    for (const record of delta.refused ?? []) this.#rejected.set(record.key, record);
    for (const key of delta.discarded ?? []) this.#rejected.delete(key);
    for (const key of this.#rejected.keys()) {
      if (this.#rejected.size <= REJECTED_MAX) break;
      this.#rejected.delete(key);
      this.#store?.putRejected(key);
    }
    this.#rejectedList = [...this.#rejected.values()];
  }

  /** Refuses a command that never got a number. */
  #refuseHere(entry: Entry, code: 'STORAGE_FAILED' | 'QUEUE_FULL', message: string): void {
    this.commit(this.refused(entry, code, message));
  }

  #durableEntries(): Entry[] {
    return [...this.#entries.values()].filter((entry) => entry.mutationId > 0);
  }
}

function refusal({ code, message, document }: RejectedRecord): Outcome {
  return { status: 'rejected', code, message, ...(document && { document }) };
}
