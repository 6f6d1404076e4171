/**
 * A link carries the texts of frames both ways. Owns the one over WebSocket; `polling.ts` has the
 * one over HTTP. A link decides nothing and tells its end exactly once.
 */

import type { WebSocketConstructor } from './api.js';
import type { Position } from './delta.js';

/** Where and as whom to connect. */
export interface Target {
  /** `http(s)://host/path`, without a slash at the end. */
  readonly url: string;
  readonly token: string;
  readonly userId: string;
  readonly clientId: string;
  readonly position: Position | undefined;
}

/** What a link tells. */
export interface LinkEvents {
  opened(): void;
  frame(text: unknown): void;
  /** `opened` was never called where the server was not reached or has refused. */
  closed(code: number): void;
}

/** Carries frames. */
export interface Link {
  send(text: string): void;
  /** Ends it. `closed` is not called any more. */
  drop(): void;
}

/** The query that names the device and the position it has. */
export function query({ clientId, position }: Target): string {
  const { epoch, seq, at } = position ?? {};
  return new URLSearchParams({
    clientId,
    ...(epoch !== undefined && { epoch, seq: String(seq), ...(at && { at }) }),
  }).toString();
}

/** Opens a WebSocket; the token travels as a subprotocol, never in the address. */
export function openSocket(Socket: WebSocketConstructor, target: Target, events: LinkEvents): Link {
  const url = `${target.url.replace(/^http/, 'ws')}/ws/realtime?${query(target)}`;
  const socket = new Socket(url, ['draftwire.v1', `draftwire.bearer.${target.token}`]);
  let ended = false;
  socket.onopen = () => !ended && events.opened();
  socket.onmessage = ({ data }: { data: unknown }) => !ended && events.frame(data);
  socket.onerror = () => {};
  socket.onclose = ({ code }: { code: number }) => {
    if (!ended) events.closed(code);
    ended = true;
  };
  return {
    send: (text) => socket.send(text),
    drop() {
      ended = true;
      socket.close(1000);
    },
  };
}
