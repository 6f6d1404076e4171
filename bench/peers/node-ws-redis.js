// The incumbent made durable: node-ws.js plus commands that are in Redis before they are answered.
// A user's state is kept in memory while he is connected, so this must be the only server on its
// Redis.
//
// It never shows or acknowledges anything that Redis has not confirmed.
import { createServer } from 'node:http';
import { backlog, eventType, host, port, runCommands, textOf } from './common.js';
import { isObject } from './merge-patch.js';
import { createApp } from './publish-api.js';
import { commit, load } from './redis-drafts.js';
import { createHub } from './ws-hub.js';

/** userId -> {userId, sockets, state (null until loaded), queue, busy}; while connected. */
const users = new Map();

function onConnection(ws, userId, query) {
  const clientId = query.get('clientId') ?? '';
  let user = users.get(userId);
  if (!user) {
    user = { userId, sockets: new Set(), state: null, queue: [], busy: false };
    users.set(userId, user);
  }
  user.sockets.add(ws);
  ws.on('message', (data) => {
    if (ws.readyState !== ws.OPEN) return;
    const frame = parse(data);
    if (!frame) return ws.close(1007);
    user.queue.push({ ws, clientId, frame });
    if (!user.busy) work(user);
  });
  ws.on('close', () => {
    user.sockets.delete(ws);
    forgetIfIdle(user);
  });
  ws.send('{"type":"WELCOME"}');
}

/** Works off a user's queue: what came while one transaction was on its way goes into the next. */
async function work(user) {
  user.busy = true;
  try {
    user.state ??= await load(user.userId);
    while (user.queue.length > 0) {
      const commands = user.queue;
      user.queue = [];
      const results = await commit(user.userId, user.state, commands);
      results.forEach(({ event, answer }, i) => {
        if (event) hub.sendToUser(user.userId, event);
        commands[i].ws.send(answer);
      });
    }
  } catch (error) {
    console.error(`${user.userId}: ${error.message}`);
    user.state = null; // it may differ from what Redis has; the devices come back and try again
    user.queue = [];
    for (const ws of user.sockets) ws.close(1011);
  }
  user.busy = false;
  forgetIfIdle(user);
}

function forgetIfIdle(user) {
  if (user.sockets.size === 0 && !user.busy) users.delete(user.userId);
}

function parse(data) {
  try {
    const frame = JSON.parse(data);
    return isObject(frame) ? frame : null;
  } catch {
    return null;
  }
}

const app = createApp((userId, type, event) => hub.sendToUser(userId, textOf(type, event)));
const server = createServer({ keepAliveTimeout: 65_000 }, app);
const hub = createHub(server, onConnection);

server.listen({ host, port, backlog }, () => console.log(`listening ${server.address().port}`));
runCommands({
  toAll: (event) => hub.sendToAll(textOf(eventType, event)),
  toUser: (userId, event) => hub.sendToUser(userId, textOf(eventType, event)),
});
