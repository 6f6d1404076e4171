/**
 * What a client takes from its surroundings: clock, timers, randomness, the browser's signals.
 * Owns the interface and the defaults; a test passes its own.
 */

/** The surroundings of a client. */
export interface Host {
  /** Milliseconds since 1970: for ids and `createdAt` only. No rule depends on it. */
  now(): number;
  /** Milliseconds that never go back. */
  monotonic(): number;
  setTimeout(run: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  /** From 0 up to, but not including, 1. */
  random(): number;
  /** Calls `listener` when the network is back, or a hidden page becomes visible. */
  wakeUps(listener: () => void): () => void;
  /** Web Locks; null where there are none. */
  readonly locks: Pick<LockManager, 'request'> | null;
  /** BroadcastChannel; null where there is none. */
  readonly BroadcastChannel: typeof BroadcastChannel | null;
}

/** The host of a browser, of Node or of React Native. */
export function defaultHost(): Host {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer as number),
    random: () => Math.random(),
    wakeUps,
    locks: globalThis.navigator?.locks ?? null,
    // Node has BroadcastChannel but no tabs.
    BroadcastChannel: 'document' in globalThis ? globalThis.BroadcastChannel : null,
  };
}

function wakeUps(listener: () => void): () => void {
  if (!('document' in globalThis) || !globalThis.addEventListener) return () => {};
  const shown = () => {
    if (document.visibilityState === 'visible') listener();
  };
  const over = new AbortController();
  const until = { signal: over.signal };
  addEventListener('online', listener, until);
  addEventListener('pageshow', listener, until);
  document.addEventListener('visibilitychange', shown, until);
  return () => over.abort();
}
