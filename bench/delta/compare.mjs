#!/usr/bin/env node
/**
 * Deltas of many pairs of files, ours beside the tools of others: bytes, wall and CPU time, peak memory, round trip.
 *
 *   node bench/delta/compare.mjs [options]
 *
 *   --pairs LIST   names of bench/delta/pairs.mjs (all); the figures of the others stay as they are in the results
 *   --trials N     how often each is measured (3; what takes over 3 s once)
 *   --quick        generated pairs at a twentieth of their size and one trial; no figures to quote
 *   --dir DIR      where the pairs are kept between runs (a folder of the system's temporary directory)
 *   --results DIR  where the figures go (bench/results), after each pair; docs/performance.md takes them from there
 *   --out FILE     document whose section is written anew (docs/performance.md)
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { median } from '../lib/statistics.mjs';
import { timeSteps } from '../lib/timed-run.mjs';
import { openWorkspace, settleDisk } from '../lib/workspace.mjs';
import { deltaSection, replaceDeltaSection } from './delta-section.mjs';
import { PEERS } from './delta-tools.mjs';
import { NPM_PEERS } from './npm-peers.mjs';
import { madePair, PAIRS } from './pairs.mjs';

const QUICK_SCALE = 0.05;
/** What takes longer is measured once: its spread matters less than everybody's time. */
const ONCE_FROM_MS = 3000;

const { values: options } = parseArgs({
  options: {
    pairs: { type: 'string' },
    trials: { type: 'string' },
    quick: { type: 'boolean', default: false },
    dir: { type: 'string', default: join(tmpdir(), 'diffkeeper-delta-table') },
    results: { type: 'string', default: fileURLToPath(new URL('../results', import.meta.url)) },
    out: { type: 'string', default: fileURLToPath(new URL('../../docs/performance.md', import.meta.url)) },
  },
});
const trials = Number(options.trials ?? (options.quick ? 1 : 3));
// The packages are installed and one of them is built: not for a look.
const peers = options.quick ? PEERS : [...PEERS, ...NPM_PEERS];
const scale = options.quick ? QUICK_SCALE : 1;
const env = { PATH: process.env.PATH, LANG: 'C.UTF-8', TMPDIR: '' };
const say = (/** @type {string} */ text) => void process.stderr.write(`${text}\n`);

/** @param {string} file */
async function digestOf(file) {
  const hash = createHash('sha256');
  for await (const part of fs.createReadStream(file)) hash.update(part);
  return hash.digest('hex');
}

/**
 * Steps of one tool, costs added up; of ours also what the call alone cost, as the process itself says.
 * @param {import('./delta-tools.mjs').Step[]} steps
 * @param {boolean} ours
 */
async function measured(steps, ours) {
  const cost = await timeSteps(steps, env);
  if (!ours) return cost;
  return { ...cost, ...JSON.parse(fs.readFileSync(join(env.TMPDIR, 'call.json'), 'utf8')) };
}

/**
 * @param {import('./delta-tools.mjs').Peer} peer
 * @param {import('./delta-tools.mjs').Places} places
 * @param {string} digest
 */
async function trial(peer, places, digest) {
  for (const file of [places.delta, places.result, places.extra]) fs.rmSync(file, { force: true });
  settleDisk(env.TMPDIR);
  const diff = await measured(peer.diff(places), peer.ours);
  const deltaBytes = fs.statSync(places.delta).size;
  const patch = await measured(peer.patch(places), peer.ours);
  const verified = (await digestOf(places.result)) === digest;
  return { deltaBytes, diff, patch, verified };
}

/**
 * Medians of the trials of one tool.
 * @param {Awaited<ReturnType<typeof trial>>[]} runs
 */
function summed(runs) {
  const of = (/** @type {'diff' | 'patch'} */ part) => {
    const pick = (/** @type {string} */ key) => median(runs.map((run) => run[part][key] ?? Number.NaN));
    const keys = [
      'wallMs',
      'cpuMs',
      'rssBytes',
      ...(runs[0][part].callMs === undefined ? [] : ['callMs', 'callCpuMs']),
    ];
    return Object.fromEntries(keys.map((key) => [key, pick(key)]));
  };
  return {
    deltaBytes: runs[0].deltaBytes,
    engine: runs[0].diff.engine,
    diff: of('diff'),
    patch: of('patch'),
    verified: runs.every(({ verified }) => verified),
    trials: runs.length,
  };
}

/**
 * All tools on one pair; the order turns from trial to trial.
 * @param {string} folder
 */
async function comparePair(folder) {
  const places = {
    source: join(folder, 'source'),
    target: join(folder, 'target'),
    delta: join(env.TMPDIR, 'delta'),
    result: join(env.TMPDIR, 'result'),
    extra: join(env.TMPDIR, 'extra'),
  };
  const targetBytes = fs.statSync(places.target).size;
  const digest = await digestOf(places.target);
  /** @type {Map<string, Awaited<ReturnType<typeof trial>>[]>} */
  const runs = new Map(peers.map(({ name }) => [name, []]));
  /** @type {Record<string, object>} */
  const tools = {};
  for (let round = 0; round < trials; round += 1) {
    for (const peer of [...peers.slice(round % peers.length), ...peers.slice(0, round % peers.length)]) {
      const before = runs.get(peer.name) ?? [];
      if (tools[peer.name] !== undefined || (before[0]?.diff.wallMs ?? 0) > ONCE_FROM_MS) continue;
      if (targetBytes > peer.bytesMax * scale) tools[peer.name] = { skipped: 'too slow at this size' };
      else {
        await trial(peer, places, digest).then(
          (run) => before.push(run),
          (error) => {
            tools[peer.name] = { skipped: String(error.message).slice(0, 80) };
          },
        );
      }
    }
  }
  for (const [name, list] of runs) if (list.length > 0) tools[name] ??= summed(list);
  return { sourceBytes: fs.statSync(places.source).size, targetBytes, tools };
}

/**
 * New figures in place of the same pairs' older ones, which stay as long as there are none: of this machine, and quick or not as now.
 * @param {readonly { name: string }[]} taken
 */
function withOthers(taken) {
  const older = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : undefined;
  if (older === undefined || older.quick !== options.quick || older.machine.CPU !== machine.CPU) return taken;
  const known = older.pairs.map((/** @type {any} */ pair) => ({ commit: older.machine.commit, ...pair }));
  return PAIRS.flatMap(({ name }) => {
    const found = [...taken, ...known].find((pair) => pair.name === name);
    return found === undefined ? [] : [found];
  });
}

const workspace = openWorkspace(tmpdir());
env.TMPDIR = workspace.root;
const machine = machineFacts(workspace.root);
const file = join(options.results, 'deltas.json');
const versions = Object.fromEntries(peers.map((peer) => [peer.name, peer.version()]));

/** Results and report after each pair: a run that is stopped keeps what it had. @param {readonly { name: string }[]} taken */
function save(taken) {
  const result = {
    schema: 1,
    quick: options.quick,
    trials,
    date: new Date().toISOString(),
    command: `node bench/delta/compare.mjs${options.quick ? ' --quick' : ''}`,
    machine,
    versions,
    pairs: withOthers(taken),
  };
  fs.mkdirSync(options.results, { recursive: true });
  fs.writeFileSync(`${file}.part`, `${JSON.stringify(result, null, 1)}\n`);
  fs.renameSync(`${file}.part`, file);
  if (!options.quick) replaceDeltaSection(options.out, result, options.results);
  else fs.writeFileSync(join(options.results, 'deltas.md'), `${deltaSection(result, options.results)}\n`);
}

const wanted = options.pairs?.split(',');
const pairs = [];
let good = true;
for (const pair of PAIRS.filter(({ name }) => wanted === undefined || wanted.includes(name))) {
  const begin = performance.now();
  const { folder, failed } = madePair(pair, options.dir, scale);
  const date = new Date().toISOString().slice(0, 10);
  const facts = { name: pair.name, what: pair.what, change: pair.change, commit: machine.commit, date };
  if (failed !== undefined) pairs.push({ ...facts, failed });
  else pairs.push({ ...facts, ...(await comparePair(folder)) });
  save(pairs);
  const ours = Object.entries(pairs.at(-1).tools ?? {}).filter(([name]) => name.startsWith('diffkeeper'));
  if (
    failed === undefined &&
    ours.some(([, tool]) => tool.verified !== true && tool.skipped !== 'too slow at this size')
  )
    good = false;
  say(`${pair.name}: ${failed ?? 'measured'} in ${((performance.now() - begin) / 1000).toFixed(1)} s`);
}
process.exitCode = good ? 0 : 1;
