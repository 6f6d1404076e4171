// The HTTP side of the Node servers: an Express application with `POST /publish/:userId` for
// administrators.
//
// It never knows how a connection looks: it is given a function that publishes.
import express from 'express';
import { refusalOfAdmin } from './common.js';

/** `toUser(userId, type, event)` publishes and returns the number of connections. */
export function createApp(toUser) {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.post('/publish/:userId', admin, express.json(), (req, res) => {
    const { type, payload } = req.body;
    if (typeof type !== 'string') return res.sendStatus(400);
    const event = { payload, timestamp: new Date().toISOString() };
    res.json({ connections: toUser(req.params.userId, type, event) });
  });
  return app;
}

async function admin(req, res, next) {
  const refusal = await refusalOfAdmin(req.headers.authorization);
  if (refusal) return res.sendStatus(refusal);
  next();
}
