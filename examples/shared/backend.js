/**
 * The part of a team's backend that stays as it is: an HTTP server, signing in, routes. Owns the
 * requests; never knows how drafts travel. Not counted, because nobody deletes or writes it.
 */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { sign, verify } from './tokens.js';

const BODY_BYTES_MAX = 1024 * 1024;

/**
 * Starts it. `routes` maps `"GET /path"` to `({ userId, query, body }) => { status, body }` for
 * signed-in users.
 */
export async function startBackend({ secret, routes = {}, tokenSeconds = 3600 }) {
  async function answer(request) {
    const { pathname, searchParams } = new URL(request.url, 'http://backend');
    if (request.method === 'POST' && pathname === '/login') {
      const { user } = await read(request);
      return { status: 200, body: { token: sign(secret, { sub: user }, tokenSeconds) } };
    }
    const claims = verify(secret, (request.headers.authorization ?? '').replace('Bearer ', ''));
    if (!claims) return { status: 401, body: {} };
    const route = routes[`${request.method} ${pathname}`];
    if (!route) return { status: 404, body: {} };
    const body = request.method === 'GET' ? undefined : await read(request);
    return route({ userId: claims.sub, query: searchParams, body });
  }

  const server = createServer((request, response) => {
    answer(request)
      .catch(() => ({ status: 400, body: {} }))
      .then(({ status, body }) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: server.address().port,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function read(request) {
  let text = '';
  for await (const part of request) {
    // What is too large is read to its end, or the client would not hear the answer.
    if (text.length <= BODY_BYTES_MAX) text += part;
  }
  if (text.length > BODY_BYTES_MAX) throw new Error('too large');
  return JSON.parse(text);
}
