// Socket.IO on Node: one room per user, WebSocket transport only, the token checked in a
// middleware. Socket.IO itself encodes and frames an event once for all sockets of a room.
//
// It keeps connections only; it never stores anything.
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { backlog, claimsOf, eventType, host, port, runCommands } from './common.js';
import { createApp } from './publish-api.js';

const roomOf = (userId) => `user:${userId}`;

const app = createApp((userId, type, event) => {
  const room = roomOf(userId);
  io.to(room).emit(type, event);
  return io.of('/').adapter.rooms.get(room)?.size ?? 0;
});
const server = createServer({ keepAliveTimeout: 65_000 }, app);
const io = new Server(server, { transports: ['websocket'], serveClient: false });

io.use(async (socket, next) => {
  try {
    socket.data.userId = (await claimsOf(socket.handshake.headers.authorization)).sub;
    next();
  } catch {
    next(new Error('unauthorized'));
  }
});

io.on('connection', (socket) => {
  socket.join(roomOf(socket.data.userId));
  socket.conn.request = null; // frees the upgrade request (Socket.IO's advice on memory)
});

server.listen({ host, port, backlog }, () => console.log(`listening ${server.address().port}`));
runCommands({
  toAll: (event) => io.emit(eventType, event),
  toUser: (userId, event) => io.to(roomOf(userId)).emit(eventType, event),
});
