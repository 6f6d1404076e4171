/** How long to wait before the next attempt: full jitter. Owns the numbers of reconnecting. */

const FIRST_MS = 500;
const LONGEST_MS = 20_000;
/** A connection that lived so long counts as stable: the next failure starts from the first step. */
export const STABLE_MS = 60_000;

/** A random time from 0 to 0.5 s, 1 s, 2 s … 20 s: clients that failed together come back apart. */
export function backoff(attempt: number, random: () => number): number {
  return random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
}
