/** The errors that applications meet. */

import type { ConnectionState } from './api.js';

/** `ready()` has given up: the time is over, or the client has stopped connecting. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError';

  constructor(
    /** Where the connection stood at that moment. */
    readonly state: ConnectionState,
  ) {
    const why = state.status === 'connected' ? '' : `: ${state.reason}`;
    super(`not ready (${state.status}${why})`);
  }
}
