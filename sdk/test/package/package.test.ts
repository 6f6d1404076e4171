/**
 * The package as its users get it: packed, installed from the tarball, imported by Node and
 * type-checked by a small consumer; and what it weighs.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { afterAll, expect, it } from 'vitest';

/** What `createClient` brings into a page at its start, minified and compressed; the goal is 12 KiB. */
const CORE_BYTES_MAX = 12.6 * 1024;

const folder = mkdtempSync(join(tmpdir(), 'draftwire-package-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

const CONSUMER = `
import { createClient, type Document } from '@draftwire/client';
import { fileStorage } from '@draftwire/client/node';
import { DraftwireProvider, useDrafts } from '@draftwire/client/react';
import { createTestServer } from '@draftwire/client/testing';

interface Draft { customer: string; lines: Record<string, { quantity: number }> }
const server = createTestServer();
const client = createClient<Draft>({ ...server.options('ann'), storage: fileStorage('./state') });
const change = client.drafts.create({ customer: 'Miller', lines: {} });
client.drafts.update(change.id, { lines: { a: { quantity: 1 } } });
client.drafts.update(change.id, { lines: { a: null } });
// @ts-expect-error a member that a draft does not have
client.drafts.update(change.id, { colour: 'red' });
// @ts-expect-error a draft without its lines
client.drafts.create({ customer: 'Miller' });
const drafts: readonly Document<Draft>[] = client.drafts.list();
export { client, drafts, DraftwireProvider, useDrafts };
`;

const PROGRAM = `
import { createClient } from '@draftwire/client';
import { fileStorage } from '@draftwire/client/node';
import { createTestServer } from '@draftwire/client/testing';
await import('@draftwire/client/react');
const server = createTestServer();
const storage = fileStorage('./state/drafts.journal');
const client = createClient({ ...server.options('ann'), storage });
client.connect();
await client.ready();
const { status } = await client.drafts.create({ n: 1 }, { id: 'a' }).settled;
await client.disconnect();
await storage.close();
console.log(status, JSON.stringify(server.documents('ann', 'drafts').map(({ data }) => data)));
`;

it('installs from its tarball, runs in Node and type-checks', { timeout: 90_000 }, () => {
  const root = process.cwd();
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root });
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root });
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
  writeFileSync(join(folder, 'package.json'), '{"type":"module","private":true}');
  const modules = join(root, 'node_modules');
  run(
    'npm',
    'install',
    '--silent',
    '--no-audit',
    '--no-fund',
    '--offline',
    '--legacy-peer-deps',
    `./${tarball}`,
  );
  expect(readdirSync(join(folder, 'node_modules/@draftwire/client')).sort()).toEqual([
    'README.md',
    'dist',
    'package.json',
  ]);
  const installed = JSON.parse(
    readFileSync(join(folder, 'node_modules/@draftwire/client/package.json'), 'utf8'),
  );
  expect(installed.dependencies).toBeUndefined();
  // The peer that the hooks need, without asking a registry.
  run('ln', '-s', join(modules, 'react'), 'node_modules/react');
  run('ln', '-s', join(modules, '@types'), 'node_modules/@types');
  writeFileSync(join(folder, 'program.mjs'), PROGRAM);
  expect(run('node', 'program.mjs').trim()).toBe('accepted [{"n":1}]');
  writeFileSync(join(folder, 'consumer.ts'), CONSUMER);
  const flags = '--noEmit --strict --skipLibCheck --target ES2022 --lib ES2022,DOM --types node';
  run(
    join(modules, '.bin/tsc'),
    ...flags.split(' '),
    ...['--module', 'NodeNext', '--moduleResolution', 'NodeNext', 'consumer.ts'],
  );
});

it('is small, in two files', async () => {
  const weigh = async (contents: string) => {
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: process.cwd() },
      ...{ bundle: true, minify: true, format: 'esm', target: 'es2022', write: false },
      ...{ splitting: true, outdir: folder, external: ['react'] },
    });
    return outputFiles.map((file) => gzipSync(file.contents, { level: 9 }).length);
  };
  const files = await weigh("export { createClient } from './src/index.js';");
  const [core = 0, http = 0] = files;
  const [hooks] = await weigh("export * from './src/react.js';");
  console.log(`core: ${core} bytes, HTTP: ${http}, react: ${hooks}, minified and gzipped`);
  // No third file, which every page would have to fetch at its start.
  expect(files.length).toBe(2);
  expect(core).toBeGreaterThan(1_000);
  expect(core).toBeLessThanOrEqual(CORE_BYTES_MAX);
  expect(http).toBeLessThanOrEqual(2.2 * 1024);
});

/** Reaches the server over HTTP after its bundle was removed from the disk. */
const FALLBACK = `
import { readdirSync, rmSync } from 'node:fs';
import { createClient, memoryStorage } from './src/index.js';
import { createTestServer } from './src/testing.js';
const server = createTestServer();
const client = createClient({
  ...server.options('ann'),
  userId: 'ann',
  storage: memoryStorage(),
  host: { random: () => 0 },
});
client.connect();
await client.ready();
await new Promise((done) => setTimeout(done, 200));
const here = new URL('.', import.meta.url);
for (const name of readdirSync(here)) rmSync(new URL(name, here));
server.websockets = false;
server.drop();
await new Promise((done) => client.connection.subscribe(done));
await client.ready();
console.log(client.connection.get().transport);
process.exit();
`;

it.each([
  ['two files, of which the second was fetched early', true],
  ['a single file', false],
])('goes over to HTTP as %s', async (_, splitting) => {
  const outdir = join(folder, splitting ? 'split' : 'single');
  await build({
    stdin: { contents: FALLBACK, resolveDir: process.cwd() },
    ...{ bundle: true, minify: true, splitting, format: 'esm', target: 'es2022' },
    ...{ platform: 'node', outdir, outExtension: { '.js': '.mjs' } },
  });
  expect(readdirSync(outdir).length).toBe(splitting ? 2 : 1);
  expect(run('node', join(outdir, 'stdin.mjs')).trim()).toBe('http');
});
