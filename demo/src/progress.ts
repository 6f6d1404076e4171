/**
 * What the warehouse reports on `/ws/sync`: the latest word on each order. Owns one socket that only
 * listens, and comes back by itself; never touches documents.
 */

import type { Network } from './network';

/** The latest report on an order. */
export interface Report {
  readonly state: 'running' | 'completed' | 'failed';
  readonly phase: string;
  readonly percent: number;
  readonly message: string;
}

/** Orders whose reports are kept. */
const REPORTS_MAX = 200;
const RETRY_MS = [500, 1_000, 2_000, 5_000];

/** The reports of one user, as one device hears them. */
export class Progress {
  readonly #network: Network;
  readonly #getToken: () => Promise<string>;
  readonly #listeners = new Set<() => void>();
  #reports: ReadonlyMap<string, Report> = new Map();
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(network: Network, getToken: () => Promise<string>) {
    this.#network = network;
    this.#getToken = getToken;
    network.wakeUps(() => {
      // While it listens there is nothing to wake.
      if (this.#timer === undefined) return;
      clearTimeout(this.#timer);
      void this.#listen();
    });
  }

  readonly get = (): ReadonlyMap<string, Report> => this.#reports;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Listens from now on. */
  connect(): void {
    void this.#listen();
  }

  async #listen(): Promise<void> {
    this.#timer = undefined;
    const token = await this.#getToken().catch(() => undefined);
    if (token === undefined) return this.#retry();
    const url = new URL('/ws/sync', location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const protocols = ['draftwire.v1', `draftwire.bearer.${token}`];
    const socket = new this.#network.WebSocket(url.href, protocols);
    socket.onopen = () => {
      this.#failures = 0;
      // Jobs that still run are told to a newcomer; the others have ended meanwhile.
      this.#show(new Map());
    };
    socket.onmessage = ({ data }: MessageEvent<string>) => this.#hear(data);
    socket.onclose = () => this.#retry();
  }

  #retry(): void {
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)];
    this.#failures += 1;
    this.#timer = setTimeout(() => void this.#listen(), wait);
  }

  #hear(text: string): void {
    const { type, payload = {} } = JSON.parse(text);
    const { jobId, phase = '', percent = 100, message = '' } = payload;
    const states = { SYNC_PROGRESS: 'running', SYNC_COMPLETED: 'completed', SYNC_FAILED: 'failed' };
    const state = states[type as keyof typeof states] as Report['state'] | undefined;
    if (state === undefined || typeof jobId !== 'string') return;
    const reports = new Map(this.#reports);
    reports.delete(jobId);
    reports.set(jobId, { state, phase, percent, message });
    for (const oldest of reports.keys()) {
      if (reports.size <= REPORTS_MAX) break;
      reports.delete(oldest);
    }
    this.#show(reports);
  }

  #show(reports: ReadonlyMap<string, Report>): void {
    this.#reports = reports;
    for (const listener of [...this.#listeners]) listener();
  }
}
