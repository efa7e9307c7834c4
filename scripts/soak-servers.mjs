/**
 * Real servers under the sidecar: load, SIGKILL of sidecar and server at a random moment, the state directory wiped, the
 * newest checkpoint recovered, the server started again: it must come up clean, its ledger must add up, its own tools
 * must find nothing, and everything that was committed before the last acknowledged checkpoint must be there.
 *
 *   npm run soak:servers -- --server sqlite|leveldb|redis|postgres [--rounds=20 --seed=1 --freeze-with=auto --keep]
 *   npm run soak:servers -- --server sqlite --consistency=file --accounts=100000 --expect-failure    it can fail, too
 *
 * The moment that a checkpoint shows lies between the start of its capture and its acknowledgement; what a client was
 * told before that start counts as committed before it. Times are of one machine's clock.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { seeded } from '../demo/seeded.mjs';
import { leveldb, sqlite } from './servers/embedded-servers.mjs';
import { postgres } from './servers/postgres-server.mjs';
import { redis } from './servers/redis-server.mjs';
import { FIRST, PROGRAM } from './tested-program.mjs';

const SERVERS = { sqlite, leveldb, redis, postgres };
/** Longest time of load until the kill, ms. */
const KILL_MS = 2000;
/** A server that waits for the disk cannot be stopped in time: the sidecar tries again, and that is no failure. */
const LATE = /did not stop within/;
/** Longest wait for the first checkpoint of a store, ms: the machine may be busy. */
const FIRST_MS = 30_000;
/** Rounds on one store and one history of the server. */
const ROUNDS_PER_STORE = 20;

const { values: options } = parseArgs({
  options: {
    server: { type: 'string' },
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    consistency: { type: 'string', default: 'freeze' },
    'freeze-with': { type: 'string', default: 'auto' },
    accounts: { type: 'string' },
    'expect-failure': { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});

function run(...words) {
  const result = spawnSync(PROGRAM, [...FIRST, ...words], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(`${words[0]} ended with ${result.status}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** Fields of each process: id, parent, state. */
function processes() {
  const found = [];
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const line = readFileSync(`/proc/${name}/stat`, 'latin1');
      const [state, parent] = line.slice(line.lastIndexOf(')') + 2).split(' ');
      found.push({ pid: Number(name), parent: Number(parent), state });
    } catch {
      // It has ended.
    }
  }
  return found;
}

function descendants(root, known = new Set()) {
  known.add(root);
  for (let grown = true; grown; ) {
    grown = false;
    for (const { pid, parent, state } of processes()) {
      if (state === 'Z' || known.has(pid) || !known.has(parent)) continue;
      known.add(pid);
      grown = true;
    }
  }
  return known;
}

function kill(pid, name) {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended.
  }
}

/** Ends a whole application the hard way, whatever it forks meanwhile; resolves when nothing of it is left. */
async function killAll(root) {
  const all = descendants(root);
  for (;;) {
    for (const pid of all) kill(pid, 'SIGKILL');
    const alive = processes().filter(({ pid, state }) => all.has(pid) && state !== 'Z');
    if (alive.length === 0) return all;
    await sleep(5);
    for (const { pid } of alive) descendants(pid, all);
  }
}

/**
 * Waits until the process table has forgotten them: PostgreSQL does not start while the number in its lock file belongs to
 * any process, even one that has ended and waits for init to notice.
 */
async function untilForgotten(pids) {
  for (let tries = 0; tries < 1000 && processes().some(({ pid }) => pids.has(pid)); tries += 1) await sleep(10);
}

/** What the sidecar's log and the application's output have said so far. */
class Ears {
  lines = [];
  childPid = 0;
  /** The newest acknowledged checkpoint, and the time before which everything must be in it. */
  acknowledged = { sequence: 0, beforeMs: 0 };
  errors = [];

  hear(line) {
    if (!line.startsWith('{')) return void this.lines.push(line);
    const { msg, level, time, sequence, elapsedMs, childPid } = JSON.parse(line);
    if (childPid !== undefined) this.childPid = childPid;
    if (level === 'error') this.errors.push({ line, time });
    if (msg === 'checkpoint' && sequence !== undefined) {
      this.acknowledged = { sequence, beforeMs: time - Math.ceil(elapsedMs) - 1 };
    }
  }

  listen(stream) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (part) => {
      const lines = (rest + part).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.hear(line);
    });
  }
}

function startSidecar(server, facts) {
  const flags = [`--state-dir=${facts.state}`, `--store=${facts.store}`, `--consistency=${options.consistency}`];
  flags.push('--checkpoint-interval=200ms', '--max-lag=200ms', '--debug', '--log-format=json');
  if (options.consistency === 'freeze') flags.push(`--freeze-with=${options['freeze-with']}`);
  const words = [...FIRST, ...flags, '--', ...server.command(facts)];
  const sidecar = spawn(PROGRAM, words, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
  const ears = new Ears();
  ears.listen(sidecar.stdout);
  ears.listen(sidecar.stderr);
  return { sidecar, ears };
}

/** Waits for a checkpoint with something of the load in it: a new store has nothing to bring back until then, however long it takes. */
async function firstCheckpoint(ears, sidecar) {
  const [loadMs, endMs] = [Date.now(), Date.now() + FIRST_MS];
  while (ears.acknowledged.beforeMs < loadMs && Date.now() < endMs && sidecar.exitCode === null) await sleep(5);
}

/** One life: start, load, kill. Gives what was acknowledged by both sides. */
async function live(server, facts) {
  const { random } = facts;
  const { sidecar, ears } = startSidecar(server, facts);
  const ended = new Promise((resolve) => sidecar.once('exit', resolve));
  while (ears.childPid === 0 && sidecar.exitCode === null) await sleep(5);
  if (sidecar.exitCode !== null)
    throw new Error(`the sidecar ended with ${sidecar.exitCode}: ${ears.lines.join('\n')}`);
  const load = await server.load({ ...facts, lines: () => ears.lines });
  if (facts.fresh) await firstCheckpoint(ears, sidecar);
  await sleep(300 + random(KILL_MS));
  const killMs = Date.now();
  // Both orders, and nearly at once: a server that outlives its keeper writes what nobody keeps.
  if (random(2) === 0) sidecar.kill('SIGKILL');
  else setImmediate(() => sidecar.kill('SIGKILL'));
  const killed = await killAll(ears.childPid);
  await ended;
  await untilForgotten(killed);
  await load.stop();
  await sleep(20);
  // What the sidecar says about a server that was killed under its hands is no trouble.
  const errors = ears.errors.filter(({ time, line }) => time < killMs && !LATE.test(line)).map(({ line }) => line);
  return { acks: load.acknowledged(), ...ears.acknowledged, errors };
}

function lost({ acks, beforeMs }, highest) {
  const due = new Map();
  for (const { stream, number, timeMs } of acks) {
    if (timeMs < beforeMs) due.set(stream, Math.max(due.get(stream) ?? 0, number));
  }
  const problems = [];
  for (const [stream, number] of due) {
    if (!(highest[stream] >= number))
      problems.push(`stream ${stream}: ${number} was committed, ${highest[stream]} came back`);
  }
  return { problems, due: [...due.values()].reduce((sum, number) => sum + number, 0) };
}

async function round(number, server, { place, random, fresh }) {
  const facts = {
    state: join(place, 'state'),
    run: join(place, 'run'),
    store: join(place, 'keep'),
    random,
    fresh,
    round: `r${number}`,
  };
  const told = await live(server, facts);
  rmSync(facts.state, { recursive: true });
  // Should nothing come back: was anything promised?
  if (fresh) console.log(`round ${number}: a new store, checkpoint ${told.sequence} was acknowledged`);
  const startMs = performance.now();
  const report = JSON.parse(
    run('recover', `--store=${facts.store}`, `--state-dir=${facts.state}`, '--json', '--strict'),
  );
  const recoverMs = performance.now() - startMs;
  const { problems, highest } = await server.check(facts);
  const { problems: missing, due } = lost(told, highest);
  const all = [...problems, ...missing, ...told.errors];
  if (told.acks.length === 0) all.push('nothing was committed: the load did not run');
  if (report.rootVerified !== true) all.push('the tree root was not verified');
  if (report.checkpoint.sequence < told.sequence) {
    all.push(`checkpoint ${told.sequence} was acknowledged, ${report.checkpoint.sequence} came back`);
  }
  const outcome = all.length === 0 ? 'clean' : `FAILED: ${all.join('; ').slice(0, 600)}`;
  console.log(
    `round ${number}: checkpoint ${report.checkpoint.sequence}, pause ${report.checkpoint.pauseMs?.toFixed(1) ?? '-'} ms, ` +
      `${told.acks.length} commits, ${due} of them due, recovered in ${recoverMs.toFixed(0)} ms: ${outcome}`,
  );
  return all.length === 0;
}

async function main(server) {
  const random = seeded(Number(options.seed));
  const place = mkdtempSync(join(tmpdir(), 'dk-servers-'));
  chmodSync(place, 0o755);
  const [state, template] = [join(place, 'state'), join(place, 'template')];
  let failures = 0;
  let rounds = 0;
  try {
    for (let number = 1; number <= Number(options.rounds); number += 1) {
      const fresh = (number - 1) % ROUNDS_PER_STORE === 0;
      if (fresh) {
        if (existsSync(join(place, 'keep'))) run('verify', `--store=${join(place, 'keep')}`);
        for (const name of ['state', 'keep']) rmSync(join(place, name), { recursive: true, force: true });
        mkdirSync(join(place, 'run'), { recursive: true });
        if (!existsSync(template)) {
          await server.prepare({ state, run: join(place, 'run') });
          if (existsSync(state)) spawnSync('cp', ['-a', state, template]);
        } else spawnSync('cp', ['-a', template, state]);
        mkdirSync(state, { recursive: true });
      }
      rounds = number;
      if (!(await round(number, server, { place, random, fresh }))) failures += 1;
      if (failures > 0 && options['expect-failure']) break;
    }
    run('verify', `--store=${join(place, 'keep')}`);
  } finally {
    if (options.keep) console.log(`kept: ${place}`);
    else rmSync(place, { recursive: true, force: true });
  }
  console.log(`${server.name}, ${options.consistency}: ${rounds} rounds, ${failures} failed`);
  process.exitCode = failures > 0 === options['expect-failure'] ? 0 : 1;
}

if (options.accounts !== undefined) process.env.LEDGER_ACCOUNTS = options.accounts;
const server = SERVERS[options.server];
if (server === undefined) {
  console.error(`--server must be one of ${Object.keys(SERVERS).join(', ')}`);
  process.exitCode = 2;
} else await main(server);
