/**
 * Kills the sidecar, or sidecar and application, with SIGKILL at random moments, again and again, on one store; each
 * time the store must verify clean and come back as exactly one checkpoint, none older than the newest one that was
 * acknowledged. In two rounds of three the sidecar prunes all the time: what its rule keeps must be there, each as it was.
 *
 *   npm run soak:kill [-- --rounds=30 --seed=1 --kill-ms=1500 --rounds-per-store=50 --keep]
 *
 * A round lasts up to `kill-ms`; after `rounds-per-store` rounds the store begins anew, as each is verified whole.
 *
 * How it is proven: the application (`--application`) works through seeded steps and counts them, in one file before
 * and in another after the operation of the step. So the state after each of its operations is known, and as all files
 * of a checkpoint are of one instant, a recovered tree must be one of them, byte for byte; so must that of the oldest
 * checkpoint that is left. The sidecar's log names every checkpoint that was acknowledged, and the beginnings of prunes.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { seeded } from '../demo/seeded.mjs';
import { applyOnDisk, Oracle, operations } from './soak-oracle.mjs';
import { FIRST, PROGRAM } from './tested-program.mjs';

const self = fileURLToPath(import.meta.url);
/** What was done, for the last line. */
const tally = { both: 0, acknowledged: 0, beyond: 0, partly: 0, empty: 0, pruned: 0, inPrune: 0 };
/** Checkpoints that a prune keeps. */
const KEPT = 20;
const RETENTION = [`--retention=keep-last=${KEPT}`, '--retention-interval=100ms'];

/** The application: goes on where the state directory says it was. */
async function work(root) {
  const done = join(root, 'done');
  for (let step = existsSync(done) ? Number(readFileSync(done, 'utf8')) + 1 : 1; ; step += 1) {
    for (const operation of operations(step)) applyOnDisk(root, operation);
    await sleep(step % 3);
  }
}

function run(...words) {
  const result = spawnSync(PROGRAM, [...FIRST, ...words], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(`${words[0]} ended with ${result.status}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

const alive = (pid) => existsSync(`/proc/${pid}`) && !/\nState:\tZ/.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

async function gone(pid) {
  while (alive(pid)) await sleep(5);
}

/** Runs sidecar and application and kills at a random moment. Returns the newest checkpoint that was acknowledged, and prunes. */
async function runAndKill({ place, random, appToo, killMs, prunes }) {
  const state = join(place, 'state');
  const flags = [`--state-dir=${state}`, `--store=${join(place, 'keep')}`, '--consistency=freeze', '--debug'];
  if (prunes) flags.push(...RETENTION);
  const command = [process.execPath, self, '--application', `--state-dir=${state}`];
  const words = [...FIRST, ...flags, '--checkpoint-interval=40ms', '--log-format=json', '--', ...command];
  const sidecar = spawn(PROGRAM, words, { stdio: ['ignore', 'inherit', 'pipe'] });
  const seen = { acknowledged: 0, pruned: 0, pruning: false };
  let appPid = 0;
  let log = '';
  sidecar.stderr.setEncoding('utf8').on('data', (part) => {
    log += part;
    for (const line of log.split('\n').slice(0, -1)) {
      const entry = line.startsWith('{') ? JSON.parse(line) : { msg: line };
      if (entry.childPid !== undefined) appPid = entry.childPid;
      if (entry.sequence !== undefined && entry.msg !== 'recovered the state directory')
        seen.acknowledged = entry.sequence;
      if (entry.msg === 'pruned') seen.pruned += 1;
      if (entry.msg === 'pruned' || entry.msg === 'pruning') seen.pruning = entry.msg === 'pruning';
      if (entry.level === 'error') process.stderr.write(`${line}\n`);
    }
    log = log.slice(log.lastIndexOf('\n') + 1);
  });
  const ended = new Promise((done) => sidecar.once('exit', (code, signal) => done(signal ?? code)));
  while (appPid === 0 && sidecar.exitCode === null) await sleep(5);
  if (sidecar.exitCode !== null) throw new Error(`the sidecar ended with ${sidecar.exitCode}`);
  await sleep(random(killMs));
  sidecar.kill('SIGKILL');
  // Without its keeper the application goes on (the watchdog lets it, should it stand still): nobody keeps that.
  if (!appToo) await sleep(random(50));
  await ended;
  if (alive(appPid)) process.kill(appPid, 'SIGCONT');
  if (!appToo) await sleep(20);
  process.kill(appPid, 'SIGKILL');
  await gone(appPid);
  return seen;
}

/** Throws unless the newest checkpoints, which no prune may drop, are there, and the oldest one is a state of the application. */
function checkKept(number, { place, oldOracle }) {
  const store = `--store=${join(place, 'keep')}`;
  const listed = run('log', store, '--json', '--limit=0').trim().split('\n');
  const sequences = listed.map((line) => JSON.parse(line).sequence);
  const newest = sequences[0];
  for (let sequence = newest; sequence > Math.max(0, newest - KEPT); sequence -= 1) {
    if (!sequences.includes(sequence)) throw new Error(`round ${number}: checkpoint ${sequence} of ${newest} is gone`);
  }
  const old = join(place, 'old');
  const words = [store, `--state-dir=${old}`, `--at=${sequences.at(-1)}`, '--json', '--strict'];
  const { rootVerified } = JSON.parse(run('recover', ...words));
  const { trouble } = oldOracle.check(old);
  rmSync(old, { recursive: true });
  if (trouble !== null || rootVerified !== true)
    throw new Error(
      `round ${number}: checkpoint ${sequences.at(-1)}, the oldest, is no state of the application: ${trouble}`,
    );
}

async function round(number, { place, random, oracle, oldOracle, killMs }) {
  const state = join(place, 'state');
  const store = `--store=${join(place, 'keep')}`;
  const appToo = random(2) === 0;
  const prunes = number % 3 !== 0;
  const { acknowledged, pruned, pruning } = await runAndKill({ place, random, appToo, killMs, prunes });
  if (acknowledged === 0 && isEmpty(store)) {
    console.log(`round ${number}: killed before the first checkpoint of a new store`);
    tally.empty += 1;
    return finishStep(state, oracle.check(state));
  }
  run('verify', store);
  checkKept(number, { place, oldOracle });
  rmSync(state, { recursive: true });
  const report = JSON.parse(run('recover', store, `--state-dir=${state}`, '--json', '--strict'));
  const { sequence } = report.checkpoint;
  const { trouble, step, partly } = oracle.check(state);
  if (trouble !== null && trouble !== undefined)
    throw new Error(`round ${number}: the recovered tree is no state of the application: ${trouble}`);
  if (report.rootVerified !== true) throw new Error(`round ${number}: the tree root was not verified`);
  if (sequence < acknowledged)
    throw new Error(`round ${number}: checkpoint ${acknowledged} was acknowledged, ${sequence} came back`);
  tally.both += appToo ? 1 : 0;
  tally.acknowledged += acknowledged > 0 ? 1 : 0;
  tally.beyond += sequence > acknowledged ? 1 : 0;
  tally.partly += partly > 0 ? 1 : 0;
  tally.pruned += pruned;
  tally.inPrune += pruning ? 1 : 0;
  const who = `${appToo ? 'sidecar and application' : 'sidecar'}${pruning ? ' in a prune' : ''}`;
  console.log(
    `round ${number}: killed ${who}; acknowledged ${acknowledged}, recovered ${sequence}: step ${step}${partly ? ` and ${partly} of the next` : ''}`,
  );
  // Sometimes the sidecar itself has to recover.
  if (partly === 0 && random(3) === 0) return rmSync(state, { recursive: true });
  finishStep(state, { step, partly });
}

/** The application is given a finished step: appending twice is not what the oracle does. */
function finishStep(state, { step, partly }) {
  if (partly > 0) for (const operation of operations(step + 1).slice(partly)) applyOnDisk(state, operation);
  rmSync(join(state, '.new'), { force: true });
}

/** Whether the sidecar was killed before it had made a store, or a checkpoint in it. */
function isEmpty(store) {
  const { stdout } = spawnSync(PROGRAM, [...FIRST, 'log', store, '--json'], { encoding: 'utf8' });
  return /DK_NO_STORE/.test(stdout) || stdout.trim() === '';
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    'kill-ms': { type: 'string', default: '1500' },
    'rounds-per-store': { type: 'string', default: '50' },
    keep: { type: 'boolean', default: false },
    application: { type: 'boolean', default: false },
    'state-dir': { type: 'string' },
  },
});

if (options.application) {
  await work(resolve(options['state-dir']));
} else {
  const place = mkdtempSync(join(tmpdir(), 'dk-soak-'));
  const random = seeded(Number(options.seed));
  const oracle = new Oracle();
  const oldOracle = new Oracle();
  mkdirSync(join(place, 'state'));
  try {
    const killMs = Number(options['kill-ms']);
    for (let number = 1; number <= Number(options.rounds); number += 1) {
      if (number % Number(options['rounds-per-store']) === 0) {
        rmSync(join(place, 'keep'), { recursive: true, force: true });
        mkdirSync(join(place, 'state'), { recursive: true });
      }
      await round(number, { place, random, oracle, oldOracle, killMs });
    }
    console.log(
      `${options.rounds} rounds: every store verified clean, every tree was a state of the application ` +
        `(${tally.both} killed the application too; a checkpoint had been acknowledged in ${tally.acknowledged}; ` +
        `in ${tally.beyond} a durable one behind it came back; ${tally.partly} fell inside a step; ${tally.empty} fell before a new store's first checkpoint; ` +
        `${tally.inPrune} fell into a prune, ${tally.pruned} prunes had ended before)`,
    );
  } finally {
    if (options.keep) console.log(`kept: ${place}`);
    else rmSync(place, { recursive: true, force: true });
  }
}
