/**
 * Counts what a team deletes and what it writes, and prints the table of docs/from-polling.md. Owns
 * the rule of counting: lines that are neither blank nor comment, as the formatter breaks them.
 * What stays either way (`shared/`) and the tests are not counted.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What begins a line that is a comment as a whole; no code line here does. */
const COMMENTS = { '.js': /^\s*(\/\/|\/\*|\*)/, '.service': /^\s*#/ };

/** Lines of code in a text. */
export function linesOf(text, extension) {
  const comment = COMMENTS[extension];
  return text.split('\n').filter((line) => line.trim() !== '' && !comment.test(line)).length;
}

function count(...path) {
  const folder = fileURLToPath(new URL(path.join('/'), import.meta.url));
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, { name }) => {
    return sum + linesOf(readFileSync(join(folder, name), 'utf8'), extname(name));
  }, 0);
}

/** How much less, rounded against us. */
const percent = (before, after) => Math.floor(100 * (1 - after / before));

/** The table in Markdown. */
export function table() {
  // The merge is used by client and server, and counted once.
  const client = [count('before/client') + count('before'), count('after/client')];
  const server = [count('before/server'), count('after/server')];
  const sum = [client[0] + server[0], client[1] + server[1]];
  const move = count('after/move');
  const row = (name, [before, after]) =>
    `| ${name} | ${before} | ${after} | ${percent(before, after)} % |`;
  return [
    '| lines of code | deleted | written | less |',
    '|---|---:|---:|---:|',
    row('in the app', client),
    row('in the backend, and to run the server', server),
    row('together', sum),
    '',
    `The move itself takes ${move} lines more, thrown away after it; counted as well, they make it`,
    `${percent(sum[0], sum[1] + move)} %. The claim of 75 % holds where the old code has more than ${4 * sum[1]} such lines.`,
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(table());
