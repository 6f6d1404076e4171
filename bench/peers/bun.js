// Bun's own server and its native publish/subscribe: every socket is subscribed to `all` and to
// its user's topic. Run it with bun.
//
// It keeps connections only, and not even those itself; it never stores anything.
import { claimsOf, eventType, host, port, refusalOfAdmin, runCommands, textOf } from './common.js';

const topicOf = (userId) => `user:${userId}`;

const server = Bun.serve({
  hostname: host,
  port,
  idleTimeout: 65,
  routes: {
    '/ws/realtime': async (request, server) => {
      let userId;
      try {
        userId = (await claimsOf(request.headers.get('authorization'))).sub;
      } catch {
        return new Response(null, { status: 401 });
      }
      if (server.upgrade(request, { data: { userId } })) return;
      return new Response(null, { status: 426 });
    },
    '/publish/:userId': {
      POST: async (request, server) => {
        const refusal = await refusalOfAdmin(request.headers.get('authorization'));
        if (refusal) return new Response(null, { status: refusal });
        let type, payload;
        try {
          ({ type, payload } = await request.json());
        } catch {}
        if (typeof type !== 'string') return new Response(null, { status: 400 });
        const topic = topicOf(request.params.userId);
        server.publish(topic, textOf(type, { payload, timestamp: new Date().toISOString() }));
        return Response.json({ connections: server.subscriberCount(topic) });
      },
    },
  },
  fetch: () => new Response(null, { status: 404 }),
  websocket: {
    perMessageDeflate: false,
    // Bun pings by itself before a socket has been silent for so long (seconds), and drops it
    // where nothing comes back: as late as the other servers do with their ping every 30 s.
    idleTimeout: 60,
    open(ws) {
      ws.subscribe('all');
      ws.subscribe(topicOf(ws.data.userId));
    },
    message() {},
  },
});

console.log(`listening ${server.port}`);
runCommands({
  toAll: (event) => server.publish('all', textOf(eventType, event)),
  toUser: (userId, event) => server.publish(topicOf(userId), textOf(eventType, event)),
});
