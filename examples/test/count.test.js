/** The figures of docs/from-polling.md are the ones that count.mjs counts. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { linesOf, table } from '../count.mjs';

test('docs/from-polling.md shows the table as it is counted', () => {
  const text = readFileSync(new URL('../../docs/from-polling.md', import.meta.url), 'utf8');
  assert.ok(text.includes(`\n${table()}\n`), `it must hold these lines:\n${table()}`);
});

test('blank lines and comments are no code, everything else is', () => {
  const text = "/**\n * A.\n */\n\n// B.\nconst url = 'http://c'; // D.\n  run(a * b);\n";
  assert.equal(linesOf(text, '.js'), 2);
  assert.equal(linesOf('# A.\n[Unit]\n\nAfter=b\n', '.service'), 2);
});
