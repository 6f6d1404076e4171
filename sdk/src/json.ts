/**
 * JSON values: a checked copy of what an application passes in, and merge patches. Owns the rules
 * that a document's `data` must keep; knows nothing of documents.
 */

import type { JsonObject, JsonValue } from './api.js';
import { LIMITS } from './generated.js';

/** With `u` a pair is one character, and no surrogate any more. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** True for an object that is neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A copy of `value` as JSON holds it, so that later changes by its owner have no effect.
 * @throws TypeError where the server could not read it: no object, too deep, lone surrogates.
 */
export function copyObject(value: unknown, name: string): JsonObject {
  const text = JSON.stringify(value);
  if (!text?.startsWith('{')) throw new TypeError(`${name} must be an object`);
  const copy = JSON.parse(text) as JsonObject;
  check(copy, name, LIMITS.dataLevels);
  return copy;
}

function check(value: unknown, name: string, levels: number): void {
  if (typeof value === 'string') {
    if (LONE_SURROGATE.test(value)) throw new TypeError(`${name} holds a lone surrogate`);
  } else if (typeof value === 'object' && value !== null) {
    if (levels === 0) throw new TypeError(`${name} has more than ${LIMITS.dataLevels} levels`);
    for (const [member, inner] of Object.entries(value)) {
      check(member, name, levels);
      check(inner, name, levels - 1);
    }
  }
}

/**
 * `target` after the merge patch (RFC 7396). Neither is changed. A member called `__proto__` is a
 * member like any other: no object's prototype is ever set.
 */
export function merge(target: unknown, patch: JsonValue): JsonValue {
  if (!isObject(patch)) return patch;
  const merged = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name);
    else merged.set(name, merge(merged.get(name), value as JsonValue));
  }
  return Object.fromEntries(merged) as JsonObject;
}

const encoder = new TextEncoder();

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}
