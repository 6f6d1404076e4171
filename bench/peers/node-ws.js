// The incumbent: Node with ws, Express and jose.
//
// It keeps connections only; it never stores anything.
import { createServer } from 'node:http';
import { backlog, eventType, host, port, runCommands, textOf } from './common.js';
import { createApp } from './publish-api.js';
import { createHub } from './ws-hub.js';

const app = createApp((userId, type, event) => hub.sendToUser(userId, textOf(type, event)));
const server = createServer({ keepAliveTimeout: 65_000 }, app);
const hub = createHub(server);

server.listen({ host, port, backlog }, () => console.log(`listening ${server.address().port}`));
runCommands({
  toAll: (event) => hub.sendToAll(textOf(eventType, event)),
  toUser: (userId, event) => hub.sendToUser(userId, textOf(eventType, event)),
});
