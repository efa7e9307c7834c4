/**
 * Kills an import at random moments, again and again, until one ends by itself; then every file must be there.
 *
 *   npm run soak:migrate [-- --rounds=5 --seed=1]
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SeededRandom } from '../bench/lib/seeded-data.mjs';
import { CLI } from '../bench/lib/tools.mjs';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seed: { type: 'string', default: '1' } },
});
const random = new SeededRandom(`kill ${values.seed}`);
const work = mkdtempSync(join(tmpdir(), 'dk-soak-migrate-'));

/** @param {readonly string[]} args */
function run(args) {
  const { status, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`diffkeeper ${args.join(' ')}: ${stderr}`);
}

/** @param {string} directory */
function digests(directory) {
  const found = [];
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const full = join(entry.parentPath, entry.name);
    found.push(`${full.slice(directory.length)} ${createHash('sha256').update(readFileSync(full)).digest('hex')}`);
  }
  return found.sort().join('\n');
}

/**
 * @param {string} store
 * @param {number} afterMs
 * @returns {Promise<number | null>} exit code; null when it was killed
 */
async function migrateKilled(store, afterMs) {
  const child = spawn(process.execPath, [CLI, 'migrate', `--store=${store}`], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  const killed = sleep(afterMs).then(() => child.kill('SIGKILL'));
  const code = await ended;
  await killed;
  return code;
}

try {
  const state = join(work, 'state');
  for (let at = 0; at < 300; at += 1) {
    const file = join(state, `d${at % 7}`, `f${at}`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, random.bytes(random.below(at % 50 === 0 ? 3_000_000 : 60_000)));
  }
  run(['import', `--store=${join(work, 'maker')}`, state]);
  run(['export', `--store=${join(work, 'maker')}`, '--format=v1', join(work, 'older.bolt')]);
  const wanted = digests(state);
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const file = join(work, `round-${round}`, 'db.bolt');
    mkdirSync(dirname(file));
    copyFileSync(join(work, 'older.bolt'), file);
    let kills = 0;
    let limitMs = 400;
    while ((await migrateKilled(file, random.below(limitMs))) !== 0) {
      kills += 1;
      // Longer from time to time, so that it ends at last.
      limitMs += 150;
    }
    const out = join(work, `out-${round}`);
    run(['recover', `--store=${file}`, `--state-dir=${out}`]);
    run(['verify', `--store=${file}`]);
    if (digests(out) !== wanted) throw new Error(`round ${round}: what came out is not what went in`);
    console.log(`round ${round}: killed ${kills} times, every file is right`);
    for (const gone of [dirname(file), out]) rmSync(gone, { recursive: true });
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
