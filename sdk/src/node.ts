/**
 * Storage in a file, for Node: a journal of JSON lines, one line an update. Owns the file and its
 * lock. A line is written and synced as a whole before its update resolves, so it also survives a
 * power cut; half a line, which a crash leaves, is not read. The journal is written anew, as one
 * line, when most of it is history.
 */

import {
  type FileHandle,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { dirname } from 'node:path';
import { recordsUnder, type Storage } from './storage.js';

/** A line of the journal: records of one space that were changed together. */
type Line = [space: string, records: [key: string, value?: unknown][]];

/** Below this many lines a journal is not worth writing anew. */
const LINES_MIN = 1_000;

/**
 * Keeps everything in one file. One process may use it at a time: another is refused while the
 * first lives.
 */
export function fileStorage(path: string): Storage & { close(): Promise<void> } {
  const spaces = new Map<string, Map<string, unknown>>();
  let file: FileHandle | undefined;
  let bytes = 0;
  let lines = 0;
  let live = 0;
  let opened: Promise<void> | undefined;
  let last: Promise<unknown> = Promise.resolve();

  /** One after the other. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(async () => {
      opened ??= start().catch((error) => {
        opened = undefined;
        throw error;
      });
      await opened;
      return work();
    });
    last = done.catch(() => {});
    return done;
  };

  const start = async () => {
    await mkdir(dirname(path), { recursive: true });
    await lock(`${path}.lock`);
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    // What stands behind the last line end was never promised.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    for (const line of whole.split('\n')) if (line) apply(JSON.parse(line) as Line);
    file = await open(path, 'a');
    bytes = Buffer.byteLength(whole);
    if (whole.length < text.length) await file.truncate(bytes);
  };

  const apply = ([space, records]: Line) => {
    lines += 1;
    const known = spaces.get(space) ?? new Map<string, unknown>();
    spaces.set(space, known);
    live -= known.size;
    for (const [key, value] of records) {
      if (value === undefined) known.delete(key);
      else known.set(key, value);
    }
    live += known.size;
  };

  const append = async (line: Line) => {
    const text = `${JSON.stringify(line)}\n`;
    try {
      await file?.appendFile(text);
      await file?.sync();
    } catch (error) {
      // Half a line must not stand before the next one.
      await truncate(path, bytes).catch(() => {});
      throw error;
    }
    bytes += Buffer.byteLength(text);
  };

  const compact = async () => {
    if (lines < LINES_MIN || lines < 2 * live) return;
    const all: string[] = [];
    for (const [space, records] of spaces) all.push(JSON.stringify([space, [...records]]));
    const text = `${all.join('\n')}\n`;
    await writeFile(`${path}.new`, text, { flush: true } as object);
    await rename(`${path}.new`, path);
    await file?.close();
    file = await open(path, 'a');
    bytes = Buffer.byteLength(text);
    lines = all.length;
  };

  return {
    durable: true,
    shared: false,
    read: (space) => inTurn(async () => recordsUnder(spaces.get(space), '')),
    update: (space, prefix, change) =>
      inTurn(async () => {
        const records = change(recordsUnder(spaces.get(space), prefix)).map(
          ([key, value]): [string, unknown?] => (value === undefined ? [key] : [key, value]),
        );
        await append([space, records]);
        apply([space, records]);
        await compact();
      }),
    erase: (space) =>
      inTurn(async () => {
        const records = [...(spaces.get(space)?.keys() ?? [])].map((key): [string] => [key]);
        await append([space, records]);
        apply([space, records]);
      }),
    close: () =>
      inTurn(async () => {
        await file?.close();
        await rm(`${path}.lock`, { force: true });
        opened = undefined;
      }),
  };
}

/** Takes the lock file, also from a process that is no more. */
async function lock(path: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await writeFile(path, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 0) throw error;
      const owner = Number(await readFile(path, 'utf8').catch(() => ''));
      if (owner && owner !== process.pid && lives(owner)) {
        throw new Error(`${path}: process ${owner} uses this storage`);
      }
      await rm(path, { force: true });
    }
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
