/**
 * Tokens as a backend signs them (JWT, HS256). Owns signing and checking; never knows whose
 * password was right.
 */

import { createHmac, timingSafeEqual } from 'node:crypto';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());
const signature = (head, secret) => createHmac('sha256', secret).update(head).digest();

/** A token that names a user and ends after so many seconds. */
export function sign(secret, claims, seconds) {
  const now = Date.now() / 1000;
  const times = { iat: Math.floor(now), exp: now + seconds };
  const head = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ ...claims, ...times })}`;
  return `${head}.${signature(head, secret).toString('base64url')}`;
}

/** The claims of a good token; undefined for any other. */
export function verify(secret, token) {
  try {
    const [head, claims, proof] = token.split('.');
    const expected = signature(`${head}.${claims}`, secret);
    if (!timingSafeEqual(Buffer.from(proof, 'base64url'), expected)) return undefined;
    const told = decode(claims);
    return told.exp > Date.now() / 1000 ? told : undefined;
  } catch {
    return undefined;
  }
}
