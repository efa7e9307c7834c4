/**
 * A 5 GB file of which a fifth changes per version, and 200,000 small files: rates of capture and recover, peak memory, and
 * recover beside what the disk writes in the same run. Each step is a process of its own; what comes back is compared.
 *
 *   npm run bench:large [-- --quick --gigabytes=5 --files=200000 --only=file,many --dir=/tmp --out=docs/performance.md --results=bench/results]
 */
import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { timeSteps } from '../lib/timed-run.mjs';
import { CLI, ROOT } from '../lib/tools.mjs';
import { differences, manifestOf, usageOf } from '../lib/tree-manifest.mjs';
import { freeBytes, openWorkspace, settleDisk } from '../lib/workspace.mjs';
import { writeLarge } from './large-section.mjs';
import { changeLargeFile, changeManyFiles, makeLargeFile, makeManyFiles } from './large-states.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    gigabytes: { type: 'string' },
    files: { type: 'string' },
    only: { type: 'string', default: 'file,many' },
    dir: { type: 'string', default: tmpdir() },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
  },
});
const { quick } = options;
const bytes = Math.round(Number(options.gigabytes ?? (quick ? 0.05 : 5)) * 2 ** 30);
const files = Number(options.files ?? (quick ? 2000 : 200_000));
const chosen = options.only.split(',');
const unknown = chosen.filter((name) => !['file', 'many'].includes(name));
if (unknown.length > 0) throw new Error(`unknown "${unknown.join(', ')}"; there are: file, many`);
const workspace = openWorkspace(options.dir);
const environment = { ...process.env, TMPDIR: workspace.root };

/**
 * A step of the program, and until everything that it wrote is on the disk.
 * @param {readonly string[]} words
 */
async function step(words) {
  settleDisk(workspace.root);
  const start = performance.now();
  const cost = await timeSteps([{ command: process.execPath, args: [CLI, ...words] }], environment);
  settleDisk(workspace.root);
  return { ...cost, settledMs: performance.now() - start };
}

/** What the disk takes from a program that does nothing but write, bytes a second. @param {number} count */
function writeSpeed(count) {
  const file = join(workspace.root, 'written');
  const piece = Buffer.alloc(8 << 20, 'sequential ');
  settleDisk(workspace.root);
  const start = performance.now();
  const handle = openSync(file, 'wx');
  for (let at = 0; at < count; at += piece.length) writeSync(handle, piece, 0, Math.min(piece.length, count - at));
  fdatasyncSync(handle);
  closeSync(handle);
  const seconds = (performance.now() - start) / 1000;
  rmSync(file);
  return count / seconds;
}

/**
 * @template {{ readonly settledMs: number }} Cost
 * @param {Cost} one @param {Cost} other
 */
const faster = (one, other) => (other.settledMs < one.settledMs ? other : one);

/**
 * First capture, a later one, and recovers of both versions.
 * @param {string} name
 * @param {{ make: (state: string) => void, change: (state: string) => void }} content
 */
async function part(name, { make, change }) {
  const [state, store] = [workspace.place(name, 'state'), join(workspace.place(name), 'keep')];
  const place = [`--store=${store}`];
  make(state);
  const older = manifestOf(state);
  const first = await step(['capture', `--state-dir=${state}`, ...place]);
  const storedFirst = usageOf(store).bytes;
  change(state);
  const newer = manifestOf(state);
  const later = await step(['capture', `--state-dir=${state}`, ...place]);
  const storedLater = usageOf(store).bytes;
  const { files: count, bytes: size } = usageOf(state);
  const writeBytesPerSecond = writeSpeed(Math.min(size, 5 * 2 ** 30));
  /** @param {number} at @param {ReturnType<typeof manifestOf>} expected */
  const back = async (at, expected) => {
    const target = join(workspace.place(name), `target-${at}`);
    const cost = await step(['recover', `--state-dir=${target}`, `--at=${at}`, ...place]);
    const wrong = differences(expected, manifestOf(target));
    if (wrong.length > 0) throw new Error(`${name}: another tree came back: ${wrong.join('; ')}`);
    rmSync(target, { recursive: true });
    return cost;
  };
  // By turns, the faster of two: what the file system does about a tree that was removed takes as long as a recover.
  const [newest, oldest] = [await back(2, newer), await back(1, older)];
  const recoverNewest = faster(newest, await back(2, newer));
  const recoverOlder = faster(oldest, await back(1, older));
  return { count, size, storedFirst, storedLater, writeBytesPerSecond, first, later, recoverNewest, recoverOlder };
}

/** @type {Record<string, any>} */
const result = {
  schema: 1,
  quick,
  date: new Date().toISOString().slice(0, 10),
  machine: machineFacts(workspace.root),
  parts: {},
};
/** Only one of them is on the disk at a time. @param {string} name @param {Parameters<typeof part>[1]} content */
async function run(name, content) {
  if (!chosen.includes(name)) return;
  result.parts[name] = await part(name, content);
  rmSync(workspace.place(name), { recursive: true });
  console.error(`${name}: ${JSON.stringify(result.parts[name])}`);
}
if (chosen.includes('file') && freeBytes(workspace.root) < 5 * bytes) throw new Error('not enough room on the disk');
await run('file', {
  make: (state) => makeLargeFile(join(state, 'large.bin'), bytes),
  change: (state) => changeLargeFile(join(state, 'large.bin'), bytes, 2),
});
await run('many', {
  make: (state) => makeManyFiles(state, files),
  change: (state) => changeManyFiles(state, files, 2),
});
mkdirSync(options.results, { recursive: true });
writeFileSync(join(options.results, 'large.json'), `${JSON.stringify(result, null, 2)}\n`);
writeLarge(options.out, result);
