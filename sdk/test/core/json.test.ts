/** Merge patches by the examples of RFC 7396, and what may not become a document. */

import { expect, it } from 'vitest';
import { copyObject, merge } from '../../src/json.js';

it.each([
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
])('%j patched by %j is %j', (target, patch, result) => {
  expect(merge(target, patch)).toEqual(result);
});

it('takes __proto__ for a member like any other', () => {
  const patch = JSON.parse('{"__proto__":{"admin":true},"a":{"__proto__":{"b":1}}}');
  const merged = merge(JSON.parse('{"__proto__":{"old":1}}'), patch) as Record<string, object>;
  expect(JSON.stringify(merged)).toBe(
    '{"__proto__":{"old":1,"admin":true},"a":{"__proto__":{"b":1}}}',
  );
  expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
  expect(({} as { admin?: boolean }).admin).toBeUndefined();
  expect((merged as { admin?: boolean }).admin).toBeUndefined();
});

it('refuses what the server could not read', () => {
  const deep = (levels: number): object => (levels === 0 ? {} : { a: deep(levels - 1) });
  expect(copyObject(deep(61), 'data')).toEqual(deep(61));
  for (const bad of [null, [], 'text', undefined, deep(62), { a: '\ud800' }, { '\udc00': 1 }]) {
    expect(() => copyObject(bad, 'data')).toThrow(TypeError);
  }
  expect(copyObject({ a: '\u{1F600}' }, 'data')).toEqual({ a: '\u{1F600}' });
});
