/**
 * A 5 GB file of which a fifth changes per version, and 200,000 small files: rates of capture and recover, peak memory, and
 * recover beside what the disk writes in the same run. Each step is a process of its own; what comes back is compared.
 *
 *   npm run bench:large [-- --quick --gigabytes=5 --files=200000 --only=file,many --dir=/tmp --out=docs/performance.md --results=bench/results]
 *
 * Parts that are not chosen stay as they are.
 */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { measuredParts } from '../lib/measured-parts.mjs';
import { median } from '../lib/statistics.mjs';
import { timeSteps } from '../lib/timed-run.mjs';
import { CLI, ROOT } from '../lib/tools.mjs';
import { differences, manifestOf, usageOf } from '../lib/tree-manifest.mjs';
import { freeBytes, openWorkspace, settleDisk } from '../lib/workspace.mjs';
import { copyOnce } from './copy-speed.mjs';
import { writeLarge } from './large-section.mjs';
import { changeLargeFile, changeManyFiles, makeLargeFile, makeManyFiles } from './large-states.mjs';
import { betterOf, writeOnce } from './write-speed.mjs';

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
/** Recovers of each version, and writings beside them. */
const TURNS = 5;
const TURNS_SMALL = 2;

const { quick } = options;
const bytes = Math.round(Number(options.gigabytes ?? (quick ? 0.05 : 5)) * 2 ** 30);
const files = Number(options.files ?? (quick ? 2000 : 200_000));
const workspace = openWorkspace(options.dir);
const environment = { ...process.env, TMPDIR: workspace.root };

/**
 * A step of the program, and until everything that it wrote is on the disk.
 * @param {readonly string[]} words
 */
async function step(words) {
  return timed(process.execPath, [CLI, ...words]);
}

/** @param {string} command @param {readonly string[]} args */
async function timed(command, args) {
  settleDisk(workspace.root);
  const start = performance.now();
  const cost = await timeSteps([{ command, args }], environment);
  settleDisk(workspace.root);
  return { ...cost, settledMs: performance.now() - start };
}

/**
 * What the disk takes from a program that does nothing but write so many bytes, one file, both ways; and from one that only
 * copies a file.
 * @param {number} count
 * @param {string} source of as many bytes
 */
async function writeBoth(count, source) {
  const file = join(workspace.root, 'written');
  settleDisk(workspace.root);
  const cached = writeOnce(file, count, 'cached') ?? 0;
  settleDisk(workspace.root);
  const direct = writeOnce(file, count, 'direct');
  settleDisk(workspace.root);
  return { cached, direct, copied: await copyOnce(source, file) };
}

/**
 * @template {{ readonly settledMs: number }} Cost
 * @param {Cost} one @param {Cost} other
 */
const faster = (one, other) => (other.settledMs < one.settledMs ? other : one);

/**
 * First capture, a later one, and recovers of both versions. `large`: the one file that there is. Without it files are small, so
 * that making them is most of the work: `tar` makes the newer ones as well, and what came back stays until the end, since the file system takes as long as
 * a recover for looking at the places of many files that were just removed (ext4 without a journal).
 * @param {string} name
 * @param {{ make: (state: string) => void, change: (state: string) => void, large?: string }} content
 */
async function measure(name, { make, change, large }) {
  const small = large === undefined;
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
  let targets = 0;
  /** @param {number} at @param {ReturnType<typeof manifestOf>} expected */
  const back = async (at, expected) => {
    targets += 1;
    const target = join(workspace.place(name), `target-${targets}`);
    const cost = await step(['recover', `--state-dir=${target}`, `--at=${at}`, ...place]);
    const wrong = differences(expected, manifestOf(target));
    if (wrong.length > 0) throw new Error(`${name}: another tree came back: ${wrong.join('; ')}`);
    if (!small) rmSync(target, { recursive: true });
    return cost;
  };
  // By turns, the fastest of each: the machine's speed drifts, and one writing alone says little.
  const [newest, olders, writings] = [
    [await back(2, newer)],
    [await back(1, older)],
    small ? [] : [await writeBoth(size, join(state, large))],
  ];
  for (let turn = 1; turn < (small ? TURNS_SMALL : TURNS); turn += 1) {
    newest.push(await back(2, newer));
    olders.push(await back(1, older));
    if (large) writings.push(await writeBoth(size, join(state, large)));
  }
  const [recoverNewest, recoverOlder] = [newest.reduce(faster), olders.reduce(faster)];
  const written = writings.length > 0 ? writings.reduce(betterOf) : undefined;
  const medians = {
    recoverMs: median(newest.map(({ settledMs }) => settledMs)),
    written: median(writings.map(({ cached, direct }) => Math.max(cached, direct ?? 0))),
  };
  const steps = { first, later, recoverNewest, recoverOlder, ...(small && { unpack: await unpack(name, state) }) };
  return { count, size, storedFirst, storedLater, ...(written && { written, medians, turns: TURNS }), ...steps };
}

/** What `tar` takes to make the same files. @param {string} name @param {string} state */
async function unpack(name, state) {
  const archive = join(workspace.place(name), 'state.tar');
  await timed('tar', ['-C', state, '-cf', archive, '.']);
  const target = workspace.place(name, 'unpacked');
  return timed('tar', ['-C', target, '-xf', archive]);
}

const part = measuredParts({
  file: join(options.results, 'large.json'),
  names: ['file', 'many'],
  only: options.only,
  quick,
  machine: machineFacts(workspace.root),
  report: (result) => writeLarge(options.out, result),
});
/** Only one of them is on the disk at a time. @param {string} name @param {Parameters<typeof measure>[1]} content */
const run = (name, content) =>
  part(name, async () => {
    try {
      return await measure(name, content);
    } finally {
      rmSync(workspace.place(name), { recursive: true });
    }
  });
await run('file', {
  make: (state) => {
    if (freeBytes(workspace.root) < 5 * bytes) throw new Error('not enough room on the disk');
    makeLargeFile(join(state, 'large.bin'), bytes);
  },
  change: (state) => changeLargeFile(join(state, 'large.bin'), bytes, 2),
  large: 'large.bin',
});
await run('many', {
  make: (state) => makeManyFiles(state, files),
  change: (state) => changeManyFiles(state, files, 2),
});
