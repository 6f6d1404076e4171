// The WebSockets of a Node server on ws: checks the token before the upgrade, knows who is
// connected (userId -> sockets), sends to them, and drops the ones that are dead.
//
// It never reads what clients send and never makes events; its users do.
import { WebSocketServer } from 'ws';
import { claimsOf } from './common.js';

const path = '/ws/realtime';
const heartbeatMs = 30_000;

// One buffer for all sockets: a string would be encoded again for each of them.
const frame = { binary: false };

/** Attaches to an HTTP server. `onConnection(socket, userId, query)` is optional. */
export function createHub(server, onConnection) {
  const wss = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  /** @type {Map<string, Set<import('ws').WebSocket>>} */
  const users = new Map();

  server.on('upgrade', async (request, socket, head) => {
    const onError = () => socket.destroy();
    socket.on('error', onError);
    const [pathname, query] = request.url.split('?', 2);
    if (pathname !== path) return refuse(socket, '404 Not Found');
    let userId;
    try {
      userId = (await claimsOf(request.headers.authorization)).sub;
    } catch {
      return refuse(socket, '401 Unauthorized');
    }
    socket.removeListener('error', onError);
    wss.handleUpgrade(request, socket, head, (ws) => accept(ws, userId, query));
  });

  function accept(ws, userId, query) {
    let sockets = users.get(userId);
    if (!sockets) users.set(userId, (sockets = new Set()));
    sockets.add(ws);
    ws.isAlive = true;
    ws.on('error', () => {}); // 'close' follows
    ws.on('pong', stillAlive);
    ws.on('close', () => {
      sockets.delete(ws);
      if (sockets.size === 0 && users.get(userId) === sockets) users.delete(userId);
    });
    onConnection?.(ws, userId, new URLSearchParams(query));
  }

  setInterval(() => {
    for (const ws of wss.clients) {
      if (!ws.isAlive) {
        ws.terminate();
        continue;
      }
      ws.isAlive = false;
      ws.ping();
    }
  }, heartbeatMs).unref();

  return {
    /** Sends a text to everyone. */
    sendToAll(text) {
      const data = Buffer.from(text);
      for (const ws of wss.clients) ws.send(data, frame);
    },
    /** Sends a text to all sockets of a user and says how many there are. */
    sendToUser(userId, text) {
      const sockets = users.get(userId);
      if (!sockets) return 0;
      const data = Buffer.from(text);
      for (const ws of sockets) ws.send(data, frame);
      return sockets.size;
    },
  };
}

function stillAlive() {
  this.isAlive = true;
}

function refuse(socket, status) {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
