/**
 * Kills the sidecar, or sidecar and application, with SIGKILL at random moments, again and again, on one store; each
 * time the store must verify clean and come back as exactly one checkpoint, none older than the newest one that was
 * acknowledged.
 *
 *   npm run soak:kill [-- --rounds=30 --seed=1 --keep]
 *
 * How it is proven: the application (`--application`) works through seeded steps and counts them, in one file before
 * and in another after the operation of the step. So the state after each of its operations is known, and as all files
 * of a checkpoint are of one instant, a recovered tree must be one of them, byte for byte. The sidecar's log names every
 * checkpoint that was acknowledged.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { seeded } from '../demo/seeded.mjs';

const self = fileURLToPath(import.meta.url);
const cli = join(dirname(self), '..', 'dist', 'esm', 'cli', 'main.js');
/** Names that the application uses in each directory. */
const FILES = 40;
/** Longest time until the kill, ms. */
const KILL_MS = 1500;

function bytesOf(random, length) {
  const block = createHash('sha256')
    .update(String(random(2 ** 31)))
    .digest();
  return Buffer.alloc(length, block);
}

/** The operations of one step. Each is one change of the tree, so that a standstill falls between two of them. */
function operations(step) {
  const random = seeded(step * 7919 + 1);
  const file = `d${random(4)}/f${random(FILES)}`;
  const text = `${step}\n`;
  const plan = [['write', 'counter', Buffer.from(text)]];
  switch (random(6)) {
    case 0:
      plan.push(['write', file, bytesOf(random, random(30_000))]);
      break;
    case 1:
      plan.push(['replace', file, bytesOf(random, random(400_000))]);
      break;
    case 2:
      plan.push(['append', 'log', Buffer.from(`did ${step} ${random(1e6)}\n`)]);
      break;
    case 3:
      plan.push(['remove', file]);
      break;
    case 4:
      plan.push(['patch', 'large', bytesOf(random, 5000), random(2_000_000)]);
      break;
    default:
      plan.push(['link', `links/l${random(8)}`, file]);
  }
  plan.push(['write', 'done', Buffer.from(text)]);
  return plan;
}

/** A tree in memory: path to content, links as `-> target`. */
function applyTo(tree, [kind, path, data, offset]) {
  if (kind === 'remove') tree.delete(path);
  else if (kind === 'link') tree.set(path, Buffer.from(`-> ${data}`));
  else if (kind === 'append') tree.set(path, Buffer.concat([tree.get(path) ?? Buffer.alloc(0), data]));
  else if (kind === 'patch') {
    const old = tree.get(path) ?? Buffer.alloc(0);
    const whole = Buffer.alloc(Math.max(old.length, offset + data.length));
    old.copy(whole);
    data.copy(whole, offset);
    tree.set(path, whole);
  } else tree.set(path, data);
}

/** The same on disk, so that no state of a file lies between before and after. */
function applyOnDisk(root, [kind, path, data, offset]) {
  const full = join(root, path);
  mkdirSync(dirname(full), { recursive: true });
  if (kind === 'remove') rmSync(full, { force: true });
  else if (kind === 'append') appendFileSync(full, data);
  else if (kind === 'patch') {
    const fd = openSync(full, existsSync(full) ? 'r+' : 'w+');
    writeSync(fd, data, 0, data.length, offset);
    closeSync(fd);
  } else {
    const temporary = join(root, '.new');
    rmSync(temporary, { force: true });
    if (kind === 'link') symlinkSync(data, temporary);
    else writeFileSync(temporary, data);
    renameSync(temporary, full);
  }
}

/** The application: goes on where the state directory says it was. */
async function work(root) {
  const done = join(root, 'done');
  for (let step = existsSync(done) ? Number(readFileSync(done, 'utf8')) + 1 : 1; ; step += 1) {
    for (const operation of operations(step)) applyOnDisk(root, operation);
    await sleep(step % 3);
  }
}

function listTree(root, directory = '', found = new Map()) {
  for (const name of readdirSync(join(root, directory))) {
    const path = directory === '' ? name : `${directory}/${name}`;
    const facts = lstatSync(join(root, path));
    if (facts.isDirectory()) listTree(root, path, found);
    else if (facts.isSymbolicLink()) found.set(path, Buffer.from(`-> ${readlinkSync(join(root, path))}`));
    else found.set(path, readFileSync(join(root, path)));
  }
  return found;
}

function difference(found, expected) {
  for (const [path, bytes] of found) {
    const other = expected.get(path);
    if (other === undefined) return `${path} should not be there`;
    if (!other.equals(bytes)) return `${path} has other bytes (${bytes.length}, expected ${other.length})`;
  }
  for (const path of expected.keys()) if (!found.has(path)) return `${path} is missing`;
  return null;
}

/** States that the tree may be in, step by step: the oracle. Goes forward only, as the application does. */
class Oracle {
  tree = new Map();
  step = 0;

  /** How the tree on disk compares with the work: the operations of `counter` done so far, or why it is none of them. */
  check(root) {
    const found = listTree(root);
    found.delete('.new');
    const counter = Number(found.get('counter')?.toString() ?? 0);
    const done = Number(found.get('done')?.toString() ?? 0);
    if (counter !== done && counter !== done + 1) return { trouble: `counter ${counter}, done ${done}` };
    const tree = this.#treeAfter(done);
    if (counter === done) return { step: done, partly: 0, trouble: difference(found, tree) };
    let trouble = null;
    for (const [index, operation] of operations(counter).slice(0, -1).entries()) {
      applyTo(tree, operation);
      trouble = difference(found, tree);
      if (trouble === null) return { step: done, partly: index + 1, trouble };
    }
    return { trouble };
  }

  #treeAfter(step) {
    if (step < this.step) {
      this.tree = new Map();
      this.step = 0;
    }
    while (this.step < step) {
      this.step += 1;
      for (const operation of operations(this.step)) applyTo(this.tree, operation);
    }
    return new Map(this.tree);
  }
}

function run(...words) {
  const result = spawnSync(process.execPath, [cli, ...words], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(`${words[0]} ended with ${result.status}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

const alive = (pid) => existsSync(`/proc/${pid}`) && !/\nState:\tZ/.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

async function gone(pid) {
  while (alive(pid)) await sleep(5);
}

/** Runs sidecar and application and kills at a random moment. Returns the newest checkpoint that was acknowledged. */
async function runAndKill({ place, random, appToo }) {
  const state = join(place, 'state');
  const flags = [`--state-dir=${state}`, `--store=${join(place, 'keep')}`, '--consistency=freeze', '--debug'];
  const command = [process.execPath, self, '--application', `--state-dir=${state}`];
  const words = [cli, ...flags, '--checkpoint-interval=40ms', '--log-format=json', '--', ...command];
  const sidecar = spawn(process.execPath, words, { stdio: ['ignore', 'inherit', 'pipe'] });
  let acknowledged = 0;
  let appPid = 0;
  let log = '';
  sidecar.stderr.setEncoding('utf8').on('data', (part) => {
    log += part;
    for (const line of log.split('\n').slice(0, -1)) {
      const entry = line.startsWith('{') ? JSON.parse(line) : { msg: line };
      if (entry.childPid !== undefined) appPid = entry.childPid;
      if (entry.sequence !== undefined && entry.msg !== 'recovered the state directory') acknowledged = entry.sequence;
      if (entry.level === 'error') process.stderr.write(`${line}\n`);
    }
    log = log.slice(log.lastIndexOf('\n') + 1);
  });
  const ended = new Promise((done) => sidecar.once('exit', (code, signal) => done(signal ?? code)));
  while (appPid === 0 && sidecar.exitCode === null) await sleep(5);
  if (sidecar.exitCode !== null) throw new Error(`the sidecar ended with ${sidecar.exitCode}`);
  await sleep(random(KILL_MS));
  sidecar.kill('SIGKILL');
  // Without its keeper the application goes on (the watchdog lets it, should it stand still): nobody keeps that.
  if (!appToo) await sleep(random(50));
  await ended;
  if (alive(appPid)) process.kill(appPid, 'SIGCONT');
  if (!appToo) await sleep(20);
  process.kill(appPid, 'SIGKILL');
  await gone(appPid);
  return acknowledged;
}

async function round(number, { place, random, oracle }) {
  const state = join(place, 'state');
  const store = `--store=${join(place, 'keep')}`;
  const appToo = random(2) === 0;
  const acknowledged = await runAndKill({ place, random, appToo });
  run('verify', store);
  rmSync(state, { recursive: true });
  const report = JSON.parse(run('recover', store, `--state-dir=${state}`, '--json', '--strict'));
  const { sequence } = report.checkpoint;
  const { trouble, step, partly } = oracle.check(state);
  if (trouble !== null && trouble !== undefined)
    throw new Error(`round ${number}: the recovered tree is no state of the application: ${trouble}`);
  if (report.rootVerified !== true) throw new Error(`round ${number}: the tree root was not verified`);
  if (sequence < acknowledged)
    throw new Error(`round ${number}: checkpoint ${acknowledged} was acknowledged, ${sequence} came back`);
  const who = appToo ? 'sidecar and application' : 'sidecar';
  console.log(
    `round ${number}: killed ${who}; acknowledged ${acknowledged}, recovered ${sequence}: step ${step}${partly ? ` and ${partly} of the next` : ''}`,
  );
  // Sometimes the sidecar itself has to recover.
  if (partly === 0 && random(3) === 0) return rmSync(state, { recursive: true });
  // Otherwise the application is given a finished step: appending twice is not what the oracle does.
  if (partly > 0) for (const operation of operations(step + 1).slice(partly)) applyOnDisk(state, operation);
  rmSync(join(state, '.new'), { force: true });
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
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
  mkdirSync(join(place, 'state'));
  try {
    for (let number = 1; number <= Number(options.rounds); number += 1) await round(number, { place, random, oracle });
    console.log(`${options.rounds} rounds: every store verified clean, every tree was a state of the application`);
  } finally {
    if (options.keep) console.log(`kept: ${place}`);
    else rmSync(place, { recursive: true, force: true });
  }
}
