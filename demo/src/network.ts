/**
 * A device's network with a switch: off, every connection is lost and none can be made, as on a
 * train. Owns sockets and calls of one device; knows nothing of what they carry. The SDK is handed
 * these in place of the browser's, and can't tell the difference.
 */

import type { Host, WebSocketConstructor, WebSocketLike } from '@draftwire/client';

/** The network of one device. */
export class Network {
  #online = true;
  readonly #sockets = new Set<WebSocket>();
  readonly #listeners = new Set<() => void>();
  readonly #wakeUps = new Set<() => void>();

  /** Whether the switch is on. */
  readonly get = (): boolean => this.#online;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Turns the network on or off. */
  set(online: boolean): void {
    if (online === this.#online) return;
    this.#online = online;
    if (!online) for (const socket of [...this.#sockets]) this.#cut(socket);
    for (const listener of [...this.#listeners]) listener();
    if (online) for (const wakeUp of [...this.#wakeUps]) wakeUp();
  }

  /** Calls `listener` when the network is back or the page is seen again, as the browser does. */
  readonly wakeUps: Host['wakeUps'] = (listener) => {
    const shown = () => {
      if (document.visibilityState === 'visible') listener();
    };
    this.#wakeUps.add(listener);
    addEventListener('online', listener);
    document.addEventListener('visibilitychange', shown);
    return () => {
      this.#wakeUps.delete(listener);
      removeEventListener('online', listener);
      document.removeEventListener('visibilitychange', shown);
    };
  };

  readonly fetch: typeof fetch = (...call) =>
    this.#online ? fetch(...call) : Promise.reject(new TypeError('this device is offline'));

  readonly WebSocket: WebSocketConstructor;

  constructor() {
    const open = (url: string, protocols: string[]) => this.#open(url, protocols);
    class Socket {
      constructor(url: string, protocols: string[]) {
        // biome-ignore lint/correctness/noConstructorReturn: `new` gives the browser's own socket
        return open(url, protocols);
      }
    }
    this.WebSocket = Socket as unknown as WebSocketConstructor;
  }

  #open(url: string, protocols: string[]): WebSocketLike {
    if (!this.#online) {
      const unreachable: WebSocketLike = {
        onopen: null,
        onmessage: null,
        onclose: null,
        onerror: null,
        send() {},
        close() {},
      };
      setTimeout(() => unreachable.onclose?.({ code: 1006 }));
      return unreachable;
    }
    const socket = new WebSocket(url, protocols);
    this.#sockets.add(socket);
    socket.addEventListener('close', () => this.#sockets.delete(socket));
    return socket;
  }

  /** What comes after this moment is not heard any more, in either direction. */
  #cut(socket: WebSocket): void {
    this.#sockets.delete(socket);
    const lost = socket.onclose;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    setTimeout(() => lost?.call(socket, new CloseEvent('close', { code: 1006 })));
  }
}
