// What every peer server needs to take part in the benchmark: the arguments, the tokens, the text
// of an event, and the commands on standard input. The contract is in README.md.
//
// It never touches a connection: how events reach the sockets is each server's own matter.
import { parseArgs } from 'node:util';
import { jwtVerify } from 'jose';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'event-bytes': { type: 'string', default: '204' },
  },
});

export const host = '0.0.0.0';
export const port = Number(values.port);
export const backlog = 4096;
export const eventType = 'PRICE_CHANGED';

const secret = process.env.BENCH_SECRET;
if (!secret) {
  console.error('BENCH_SECRET is not set');
  process.exit(2);
}

// Imported once; given the bytes, jose would import them again for every token.
const key = await crypto.subtle.importKey(
  'raw', new TextEncoder().encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'],
);
const rules = { algorithms: ['HS256'], requiredClaims: ['sub', 'exp'] };

/** The claims of an `Authorization` header; throws where there is no good token in it. */
export async function claimsOf(authorization) {
  if (!authorization?.startsWith('Bearer ')) throw new Error('no bearer token');
  return (await jwtVerify(authorization.slice(7), key, rules)).payload;
}

/** Undefined where the header is an administrator's, otherwise the HTTP status that refuses it. */
export async function refusalOfAdmin(authorization) {
  try {
    return (await claimsOf(authorization)).role === 'admin' ? undefined : 403;
  } catch {
    return 401;
  }
}

let counter = 0;
let padding = '';

/** The next event, without its type. */
export function nextEvent() {
  return { payload: { n: ++counter, text: padding }, timestamp: new Date().toISOString() };
}

/** The text of an event. */
export function textOf(type, { payload, timestamp }) {
  return JSON.stringify({ type, payload, timestamp });
}

// Sized with a counter of five digits, which is what a run mostly has.
const bare = textOf(eventType, { ...nextEvent(), payload: { n: 10000, text: '' } }).length;
padding = 'x'.repeat(Math.max(0, Number(values['event-bytes']) - bare));
counter = 0;

/**
 * Runs the commands on standard input and ends the process with it. `toAll(event)` and
 * `toUser(userId, event)` publish one event each.
 */
export function runCommands({ toAll, toUser }) {
  let rest = '';
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const [command, ...args] = line.trim().split(/ +/);
      if (command === 'all') {
        for (let left = Number(args[0]); left > 0; left--) toAll(nextEvent());
      } else if (command === 'users') {
        for (const number of args) toUser(`user-${number}`, nextEvent());
      } else if (command) {
        console.error(`unknown command: ${command}`);
      }
    }
  });
  process.stdin.on('end', () => process.exit(0));
}
