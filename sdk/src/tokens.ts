/**
 * The application's tokens: fetched with patience that ends, and read for whose they are. Owns the
 * calls of `getToken`; never checks a signature and never keeps a token longer than needed.
 */

import type { ClientOptions } from './api.js';
import type { Host } from './host.js';
import { isObject } from './json.js';

/** What `getToken` has brought is no token. */
export class TokenError extends Error {}

/** Fetches tokens. */
export class Tokens {
  readonly #getToken: ClientOptions['getToken'];
  readonly #timeoutMs: number;
  readonly #host: Host;
  #abort = new AbortController();
  #last: string | undefined;
  /** The token before the last one that was fetched. */
  previous: string | undefined;

  constructor(getToken: ClientOptions['getToken'], timeoutMs: number, host: Host) {
    this.#getToken = getToken;
    this.#timeoutMs = timeoutMs;
    this.#host = host;
  }

  /** A token from the application. Rejects where it fails, or takes too long. */
  async fetch(): Promise<string> {
    const abort = new AbortController();
    this.#abort = abort;
    let timer: unknown;
    const tooLong = new Promise<never>((_, reject) => {
      abort.signal.addEventListener('abort', () => reject());
      timer = this.#host.setTimeout(() => abort.abort(), this.#timeoutMs);
    });
    try {
      const asked = (async () => this.#getToken(abort.signal))();
      const token = await Promise.race([asked, tooLong]);
      if (typeof token !== 'string' || this.userOf(token) === undefined) {
        throw new TokenError();
      }
      this.previous = this.#last;
      this.#last = token;
      return token;
    } finally {
      this.#host.clearTimeout(timer);
    }
  }

  /** Gives up a call under way. */
  cancel(): void {
    this.#abort.abort();
  }

  /** The user a token names: `sub`, or `userId`. */
  userOf(token: string): string | undefined {
    const { sub, userId } = claimsOf(token);
    const user = sub ?? userId;
    return typeof user === 'string' && user !== '' ? user : undefined;
  }
}

/** What a token says. The server checks it; this only reads. */
export function claimsOf(token: string): Record<string, unknown> {
  try {
    const part = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(part), (char) => char.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isObject(claims) ? claims : {};
  } catch {
    return {};
  }
}
