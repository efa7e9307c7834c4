/**
 * The demo: starts a real application under DiffKeeper, kills everything in
 * mid-write, deletes the state, gets it back, and lets the application check it.
 *
 *   npm run demo [-- --seconds=15 --checkpoint-interval=250ms --keep]
 *
 * Ends with 0 only when every promise held. Works in `.demo/`, which is made anew.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const cli = join(root, 'dist', 'cli', 'main.js');
const app = join(root, 'demo', 'app.mjs');
const place = join(root, '.demo');
const stateDir = join(place, 'state');
const store = join(place, 'keep');
const acks = join(place, 'acknowledged.txt');

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '15' },
    'checkpoint-interval': { type: 'string', default: '250ms' },
    keep: { type: 'boolean', default: false },
  },
});

/** Runs a program to its end; its output is returned, or shown when it fails. */
function run(command, args, extra = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, ...extra });
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}\n`);
    throw new Error(`${[command, ...args].join(' ')} ended with ${result.status ?? result.signal}`);
  }
  return result.stdout;
}

const diffkeeper = (...args) => run(process.execPath, [cli, ...args]);
const jsonLines = (text) =>
  text
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const say = (text) => console.log(`\u25b8 ${text}`);

function newestMs(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newestMs(join(path, name))));
}

/** Installs and builds what a clean clone does not have. */
function prepare() {
  if (!existsSync(join(root, 'node_modules', 'typescript'))) {
    say('installing packages');
    run('npm', ['ci']);
  }
  if (!existsSync(cli) || newestMs(join(root, 'src')) > statSync(cli).mtimeMs) {
    say('building');
    run('npm', ['run', '--silent', 'build']);
  }
  const loads = () =>
    spawnSync(process.execPath, ['-e', "new (require('better-sqlite3'))(':memory:')"], { cwd: dirname(app) }).status ===
    0;
  if (loads()) return;
  say('installing SQLite for the application (compiled from source, about a minute)');
  const env = {
    ...process.env,
    npm_config_build_from_source: 'true',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
  };
  // Headers of the running Node, where it brought them along: then none have to be downloaded.
  const prefix = resolve(dirname(process.execPath), '..');
  if (existsSync(join(prefix, 'include', 'node', 'node.h'))) env.npm_config_nodedir = prefix;
  run('npm', ['ci'], { cwd: dirname(app), env });
  if (!loads()) throw new Error('better-sqlite3 was installed but does not load');
}

async function until(what, condition, timeoutMs = 60_000) {
  const end = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
    await sleep(50);
  }
}

/** Bytes a process has given to write(2) so far. */
function bytesWritten(pid) {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? Number.NaN);
}

/** Starts sidecar and application, kills both with SIGKILL while the application writes. */
async function runAndKill() {
  const interval = `--checkpoint-interval=${options['checkpoint-interval']}`;
  const flags = [`--state-dir=${stateDir}`, `--store=${store}`, '--consistency=freeze', interval];
  const command = [process.execPath, app, `--state-dir=${stateDir}`, `--acks=${acks}`];
  console.log(
    `\n  $ diffkeeper --state-dir=state --store=keep --consistency=freeze ${interval} -- node demo/app.mjs\n`,
  );
  const sidecar = spawn(process.execPath, [cli, ...flags, '--', ...command], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = new Promise((done) => sidecar.once('exit', (code, signal) => done(signal ?? code)));
  let over = null;
  void ended.then((how) => {
    over = how;
  });
  let appPid = 0;
  try {
    await until('the application starts', () => {
      if (over !== null) throw new Error(`the sidecar ended early (${over})`);
      return existsSync(acks) && statSync(acks).size > 0 && existsSync(`${acks}.pid`);
    });
    appPid = Number(readFileSync(`${acks}.pid`, 'utf8'));
    say(`the application runs (pid ${appPid}) and books rows for ${options.seconds} s`);
    await sleep(Number(options.seconds) * 1000);
    if (over !== null) throw new Error(`the sidecar ended early (${over})`);
    const written = bytesWritten(appPid) - statSync(acks).size;
    const killedMs = Date.now();
    sidecar.kill('SIGKILL');
    process.kill(appPid, 'SIGKILL');
    await ended;
    await until(
      'the application is gone',
      () => !existsSync(`/proc/${appPid}`) || /\nState:\s+Z/.test(statusOf(appPid)),
    );
    say('kill -9 for both, in mid-write');
    return { written, killedMs };
  } catch (error) {
    sidecar.kill('SIGKILL');
    if (appPid > 0) spawnSync('kill', ['-9', String(appPid)]);
    throw error;
  }
}

function statusOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '\nState:\tZ';
  }
}

/** Acknowledged rows: the newest, and the newest that was acknowledged before a moment. */
function readAcks(beforeMs) {
  let newest = { sequence: 0, timeMs: 0 };
  let promised = 0;
  for (const line of readFileSync(acks, 'utf8').split('\n').slice(0, -1)) {
    const [sequence, timeMs] = line.split(' ').map(Number);
    newest = { sequence, timeMs };
    if (timeMs < beforeMs) promised = sequence;
  }
  return { newest, promised };
}

function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** Everything that must be true of what came back; each with a name for the report. */
function promises(found, acked, report) {
  return [
    ['PRAGMA integrity_check says ok', found.integrity === 'ok'],
    ['no row is missing in between, the chain of digests holds', found.chainBreak === null],
    ['every balance equals the sum of its rows', found.wrongBalances === 0],
    ['no row acknowledged before the last checkpoint is missing', found.rows >= acked.promised],
    ['database and event log are of one instant', found.rows - found.logged >= 0 && found.rows - found.logged <= 4],
    ['the settings are whole', found.settings.every((sequence) => sequence >= 0 && sequence <= found.rows)],
    ['the Merkle root of the restored tree equals the checkpoint\u2019s', report.rootVerified === true],
    ['nothing is damaged', report.damaged.length === 0],
  ];
}

function table(rows) {
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) console.log(`  ${name.padEnd(width)}  ${value}`);
}

function printFigures({ ran, checkpoints, stats, acked, found, recoverMs, report }) {
  const pauses = checkpoints.filter((checkpoint) => checkpoint.frozen).map((checkpoint) => checkpoint.pauseMs);
  pauses.sort((left, right) => left - right);
  const stored = stats.packBytes + stats.metaBytes;
  const lost = Math.max(0, acked.newest.sequence - found.rows);
  const lagMs = ran.killedMs - (checkpoints[0]?.timeMs ?? ran.killedMs);
  table([
    ['checkpoints / versions kept', `${stats.checkpoints} / ${stats.versions}`],
    ['bytes written by the application', megabytes(ran.written)],
    ['every version whole would take', megabytes(stats.originalBytes)],
    ['bytes stored', `${megabytes(stored)}  (${(stats.originalBytes / stored).toFixed(0)} times less)`],
    [
      'pause of the application',
      `p50 ${percentile(pauses, 0.5).toFixed(1)} ms, p99 ${percentile(pauses, 0.99).toFixed(1)} ms`,
    ],
    [
      'recover',
      `${report.elapsedMs.toFixed(0)} ms (${recoverMs.toFixed(0)} ms with starting the program), ${megabytes(report.bytes)}`,
    ],
    ['acknowledged rows at the kill', String(acked.newest.sequence)],
    ['rows that came back', String(found.rows)],
    ['rows lost within the lag', `${lost}, from the last ${lagMs} ms`],
  ]);
}

/** Deletes the state, gets it back, lets the application open it, prints what happened; whether all promises held. */
function recoverAndReport(ran) {
  rmSync(stateDir, { recursive: true });
  say('the state directory is deleted');
  console.log('\n  $ diffkeeper recover --state-dir=state --store=keep\n');
  const start = performance.now();
  const recovered = jsonLines(diffkeeper('recover', `--state-dir=${stateDir}`, `--store=${store}`, '--json'));
  const recoverMs = performance.now() - start;
  const report = recovered.find((line) => 'rootVerified' in line);
  if (report === undefined) throw new Error('recover printed no report');
  const checkpoints = jsonLines(diffkeeper('log', `--store=${store}`, '--limit=0', '--json'));
  const [stats] = jsonLines(diffkeeper('stats', `--store=${store}`, '--json'));
  const acked = readAcks(checkpoints[0]?.timeMs ?? 0);
  say('the application opens what came back');
  const found = JSON.parse(run(process.execPath, [app, `--state-dir=${stateDir}`, '--check']));
  run(process.execPath, [app, `--state-dir=${stateDir}`, '--seconds=0.5']);
  const after = JSON.parse(run(process.execPath, [app, `--state-dir=${stateDir}`, '--check']));

  const held = [
    ...promises(found, acked, report),
    ['the application goes on from there', after.rows > found.rows && after.chainBreak === null],
  ];
  console.log('');
  for (const [name, good] of held) console.log(`  ${good ? '\u2713' : '\u2717'} ${name}`);
  console.log('');
  printFigures({ ran, checkpoints, stats, acked, found, recoverMs, report });
  console.log('\n  $ diffkeeper timeline --store=keep --limit=12\n');
  console.log(diffkeeper('timeline', `--store=${store}`, '--limit=12'));
  return held.every(([, good]) => good);
}

if (process.platform !== 'linux') throw new Error('the demo freezes the application, which needs Linux');
prepare();
rmSync(place, { recursive: true, force: true });
mkdirSync(place, { recursive: true });
const ran = await runAndKill();
const good = recoverAndReport(ran);
if (!options.keep) rmSync(place, { recursive: true, force: true });
else say('kept: .demo/state and .demo/keep');
if (!good) {
  console.error('demo: a promise did not hold');
  process.exitCode = 1;
}
