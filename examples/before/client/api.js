/**
 * Calls the backend with the user's token. Owns tokens and time-outs; never retries on its own but
 * for a token that was refused.
 */

const TIMEOUT_MS = 15_000;
/** A token with less life left is replaced before it is used. */
const MARGIN_MS = 30_000;

/** An answer that is no 2xx. */
export class HttpError extends Error {
  constructor(status, retryAfterMs) {
    super(`the backend has answered ${status}`);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Makes the caller. */
export function createApi({ url, getToken }) {
  let token;
  let renewAt = 0;
  let fetching;

  /** A good token; several calls at a time ask for one only once. */
  function freshToken() {
    if (token && Date.now() < renewAt) return token;
    fetching ??= withTimeout(getToken())
      .then((fetched) => {
        const lifeMs = expiresAt(fetched) - Date.now();
        token = fetched;
        renewAt = Date.now() + lifeMs - Math.min(MARGIN_MS, lifeMs / 5);
        return fetched;
      })
      .finally(() => {
        fetching = undefined;
      });
    return fetching;
  }

  return async function call(method, path, body, again = false) {
    const bearer = await freshToken();
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.status === 401 && !again) {
      if (token === bearer) token = undefined;
      return call(method, path, body, true);
    }
    if (!response.ok) {
      throw new HttpError(response.status, Number(response.headers.get('retry-after')) * 1000);
    }
    return response.json();
  };
}

function withTimeout(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('getToken takes too long')), TIMEOUT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function expiresAt(token) {
  const part = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
  return JSON.parse(atob(part)).exp * 1000;
}
