/**
 * A database under pgbench, alone and kept by the sidecar by turns. Every turn begins with the same database, and with a store
 * that has it: both are made once and put back before each turn, so that none depends on those before it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { postgres } from '../../scripts/servers/postgres-server.mjs';
import { median } from '../lib/statistics.mjs';
import { CLI } from '../lib/tools.mjs';
import { checkpoints, spread, stops, underSidecar } from './sidecar-run.mjs';

/** Of a turn, in which files are met for the first time. */
const BEGINNING_MS = 10_000;
/** Percent of the machine that the sidecar may take in the turns with a limit. */
const OVERHEAD = 4;
/** What keeps the server in a turn; `alone`: nobody. */
const KEEPERS = { alone: null, kept: [], limited: [`--max-overhead=${OVERHEAD}%`] };
/** A kept server's checkpoints. */
const KEPT_WORDS = ['--consistency=freeze', '--checkpoint-interval=1s', '--stop-timeout=5s'];
/** Between what is put back and a turn, so that the disk is done with it, ms. */
const REST_MS = 2000;

/**
 * Databases by name: how much they grow before the first turn (`grow` of the server), how many rounds there are, and in how many
 * of them the limit has a turn, too. A turn differs from the next by 5 % by itself, so a few say nothing of a loss as small.
 */
const FULL = {
  seconds: 22,
  restMs: REST_MS,
  databases: {
    fresh: { rounds: 7, limitedRounds: 3 },
    grown: { rounds: 4, limitedRounds: 2, growth: { rows: 2_000_000, parts: 40, restMs: 400 } },
  },
};
const QUICK = {
  seconds: 2,
  restMs: 0,
  databases: {
    fresh: { rounds: 1, limitedRounds: 1 },
    grown: { rounds: 1, limitedRounds: 1, growth: { rows: 20_000, parts: 4, restMs: 200 } },
  },
};

function must(program, ...words) {
  const result = spawnSync(program, words, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${program} ended with ${result.status}: ${result.stderr}`);
}

/** Bytes of all files below. */
function bytesBelow(directory) {
  let bytes = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += statSync(join(entry.parentPath ?? entry.path, entry.name)).size;
  return bytes;
}

/** Makes a database, grown or not, and a store that has it. The server has stopped in order: nothing is left to be done. */
async function prepared(origin, run, growth) {
  const facts = { state: join(origin, 'state'), run };
  mkdirSync(origin);
  chmodSync(origin, 0o755);
  await postgres.prepare(facts);
  if (growth) {
    // What grew while it was kept is stored in many pieces.
    let grown = false;
    const kept = underSidecar(origin, KEPT_WORDS, postgres.command(facts), () => grown);
    try {
      await postgres.grow(facts, growth);
    } finally {
      grown = true;
      await kept;
    }
  }
  must(process.execPath, CLI, 'capture', `--state-dir=${facts.state}`, `--store=${join(origin, 'keep')}`);
}

/** Puts the database and the store back as they were prepared. */
async function putBack(origin, place, restMs) {
  for (const name of ['state', 'keep']) {
    rmSync(join(place, name), { recursive: true, force: true });
    must('cp', '-a', '--reflink=auto', join(origin, name), place);
  }
  spawnSync('sync');
  await sleep(restMs);
}

/** Each turn has its own part of the journal. */
let turns = 0;

/** Transactions per second of pgbench against a running server: of the whole turn, and without its beginning. */
async function transactions(facts, seconds) {
  turns += 1;
  const load = await postgres.load({ ...facts, round: `turn${turns}` });
  const startMs = Date.now();
  await sleep(seconds * 1000);
  const endMs = Date.now();
  return async () => {
    await load.stop();
    const rate = (fromMs) =>
      load.acknowledged().filter(({ timeMs }) => timeMs >= fromMs && timeMs < endMs).length / ((endMs - fromMs) / 1000);
    return { whole: rate(startMs), steady: rate(startMs + Math.min(BEGINNING_MS, (endMs - startMs) / 2)) };
  };
}

/** One turn of pgbench beside a server of its own: the rates, and what the sidecar's run cost. */
async function runTurn({ place, facts, seconds }, flags) {
  const command = postgres.command(facts);
  if (flags === null) {
    const server = spawn(command[0], command.slice(1), { stdio: 'ignore', cwd: '/' });
    const ended = new Promise((resolve) => server.once('exit', resolve));
    const count = await transactions(facts, seconds);
    server.kill('SIGINT');
    await ended;
    return { rates: await count() };
  }
  let stop = false;
  const run = underSidecar(place, [...KEPT_WORDS, ...flags], command, () => stop);
  const count = await transactions(facts, seconds);
  stop = true;
  const cost = await run;
  return { rates: await count(), cost };
}

/** What is told of a turn. */
function turnFacts(keeper, { rates, cost }, bytes) {
  const facts = { keeper, ...rates, ...bytes, checkpoints: 0 };
  if (!cost) return facts;
  const pauses = checkpoints(cost.entries).map(({ pauseMs }) => pauseMs);
  return {
    ...facts,
    checkpoints: pauses.length,
    pauses: pauses.filter((ms) => ms > 0),
    stops: stops(cost.entries),
    cpuShare: cost.cpuSeconds / cost.seconds,
    peakBytes: cost.peakBytes,
    ownPeakBytes: cost.ownPeakBytes,
  };
}

/** All turns beside one database. */
async function turnsBeside(place, { name, growth, rounds, limitedRounds, seconds, restMs }) {
  const origin = join(place, name);
  const facts = { state: join(place, 'state'), run: join(place, 'run') };
  await prepared(origin, facts.run, growth);
  const bytes = bytesBelow(join(origin, 'state'));
  const done = [];
  for (let round = 0; round < rounds; round += 1) {
    const names = Object.keys(KEEPERS).filter((keeper) => keeper !== 'limited' || round < limitedRounds);
    // Each has every place in the order once, should the machine become slower or faster.
    for (const at of names.keys()) {
      const keeper = names[(at + round) % names.length];
      await putBack(origin, place, restMs);
      const measured = await runTurn({ place, facts, seconds }, KEEPERS[keeper]);
      const turn = { round, ...turnFacts(keeper, measured, { bytesAfter: bytesBelow(facts.state) }) };
      done.push(turn);
      console.error(
        `${name} database, ${keeper}: ${turn.whole.toFixed(0)} transactions/s, ${turn.steady.toFixed(0)} without the beginning`,
      );
    }
  }
  rmSync(origin, { recursive: true });
  const kept = done.filter(({ keeper }) => keeper === 'kept');
  return {
    name,
    rows: growth?.rows ?? 0,
    bytes,
    turns: done.map(({ pauses, stops: _stops, ...turn }) => (pauses ? { ...turn, pauseMs: median(pauses) } : turn)),
    pauses: spread(kept.flatMap((turn) => turn.pauses)),
    stops: spread(kept.flatMap((turn) => turn.stops)),
    cpuShare: median(kept.map((turn) => turn.cpuShare)),
    peakBytes: Math.max(...kept.map((turn) => turn.peakBytes)),
    ownPeakBytes: Math.max(...kept.map((turn) => turn.ownPeakBytes)),
  };
}

/** @param {string} place an empty directory that a server's user may pass @param {boolean} quick */
export async function database(place, quick) {
  const { seconds, restMs, databases } = quick ? QUICK : FULL;
  mkdirSync(join(place, 'run'));
  const measured = [];
  for (const [name, facts] of Object.entries(databases))
    measured.push(await turnsBeside(place, { name, ...facts, seconds, restMs }));
  return { seconds, beginningMs: BEGINNING_MS, overhead: OVERHEAD, databases: measured };
}
