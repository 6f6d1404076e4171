// The drafts of a user in Redis, and the transactions that change them. Redis must run with
// `appendfsync always`; REDIS_URL says where.
//
//   docs:<user>     hash, document id -> {version, data}
//   devices:<user>  hash, clientId -> the last mutationId that was applied
//   events:<user>   stream of about 1,000 events; the entry `<seq>-0` is event `seq`
//
// It keeps no state of its own and never talks to clients.
import { createClient } from 'redis';
import { mergePatch } from './merge-patch.js';

const trim = { TRIM: { strategy: 'MAXLEN', strategyModifier: '~', threshold: 1000 } };

// One connection for everybody: node-redis pipelines what is asked in the same turn.
const redis = createClient({ url: process.env.REDIS_URL });
redis.on('error', (error) => console.error('redis:', error.message));
await redis.connect();

/** The state of a user, to be kept and handed to `commit`. */
export async function load(userId) {
  const [docs, devices, last] = await Promise.all([
    redis.hGetAll(`docs:${userId}`),
    redis.hGetAll(`devices:${userId}`),
    redis.xRevRange(`events:${userId}`, '+', '-', { COUNT: 1 }),
  ]);
  return {
    docs: new Map(Object.entries(docs).map(([id, text]) => [id, JSON.parse(text)])),
    devices: new Map(Object.entries(devices).map(([id, text]) => [id, Number(text)])),
    seq: last.length > 0 ? parseInt(last[0].id, 10) : 0,
  };
}

/**
 * Applies commands `{clientId, frame}` in order and stores their effects in one transaction. Gives
 * one `{event?, answer}` of texts for each command. Where it throws, the state is spoilt.
 */
export async function commit(userId, state, commands) {
  const results = commands.map(({ clientId, frame }) => apply(state, clientId, frame));
  const changes = results.filter(({ event }) => event);
  if (changes.length > 0) {
    const transaction = redis.multi();
    const docs = new Map();
    const devices = new Map();
    for (const { seq, event, id, clientId, mutationId } of changes) {
      transaction.xAdd(`events:${userId}`, `${seq}-0`, { event }, trim);
      docs.set(id, null);
      devices.set(clientId, String(mutationId));
    }
    for (const id of docs.keys()) docs.set(id, JSON.stringify(state.docs.get(id)));
    transaction.hSet(`docs:${userId}`, docs);
    transaction.hSet(`devices:${userId}`, devices);
    await transaction.exec();
  }
  return results;
}

/** Applies one command to the state in memory. */
function apply(state, clientId, { type, mutationId, payload }) {
  const answer = (kind, body) => JSON.stringify({ type: kind, payload: { mutationId, ...body } });
  const rejected = (code) => ({ answer: answer('REJECTED', { code }) });

  const id = payload?.id;
  if (!Number.isSafeInteger(mutationId) || typeof id !== 'string') return rejected('INVALID');
  if (mutationId <= (state.devices.get(clientId) ?? 0)) {
    return { answer: answer('ACK', { duplicate: true }) };
  }
  const old = state.docs.get(id);
  let document;
  if (type === 'DRAFT_CREATE') {
    if (old) return rejected('ALREADY_EXISTS');
    document = { version: 1, data: payload.data };
  } else if (type === 'DRAFT_UPDATE') {
    if (!old) return rejected('NOT_FOUND');
    document = { version: old.version + 1, data: mergePatch(old.data, payload.patch) };
  } else {
    return rejected('INVALID');
  }

  const seq = ++state.seq;
  state.docs.set(id, document);
  state.devices.set(clientId, mutationId);
  const event = JSON.stringify({
    type: old ? 'DRAFT_UPDATED' : 'DRAFT_CREATED',
    payload: { document: { id, ...document }, origin: { clientId, mutationId } },
    seq,
    timestamp: new Date().toISOString(),
  });
  const ack = answer('ACK', { seq, id, version: document.version });
  return { event, answer: ack, seq, id, clientId, mutationId };
}
