/**
 * What encryption costs: capture and recover of the same states with and without it, alternating, each in a process of its own;
 * and the ciphers of Node beside each other.
 *
 *   npm run bench:encryption [-- --megabytes=256 --files=20000 --runs=3]
 */
import { spawnSync } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SeededRandom } from '../lib/seeded-data.mjs';
import { CLI } from '../lib/tools.mjs';

const MEGABYTE = 1e6;
const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '256' },
    files: { type: 'string', default: '20000' },
    runs: { type: 'string', default: '3' },
  },
});
const base = mkdtempSync(join(tmpdir(), 'dk-encryption-'));

/** @param {readonly number[]} list */
const median = (list) => [...list].sort((one, other) => one - other)[list.length >> 1] ?? 0;

/** Half of the bytes compress well, half do not. Parts of 8 MB, so that the whole is never in memory. */
function makeLarge() {
  const state = join(base, 'large');
  mkdirSync(state);
  const random = new SeededRandom('large');
  for (let part = 0; part * 8 < Number(values.megabytes); part += 1) {
    const text = Buffer.alloc(4 * MEGABYTE, `line ${part} of a log that repeats itself\n`);
    writeFileSync(join(state, `part-${part}`), Buffer.concat([text, random.bytes(4 * MEGABYTE)]));
  }
  return state;
}

function makeSmall() {
  const state = join(base, 'small');
  const random = new SeededRandom('small');
  for (let file = 0; file < Number(values.files); file += 1) {
    const directory = join(state, `folder-${file % 100}`);
    if (file < 100) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${file}`), random.bytes(500 + random.below(3000)));
  }
  return state;
}

/**
 * Wall and processor seconds of the program.
 * @param {readonly string[]} words
 */
function timed(words) {
  const begun = process.hrtime.bigint();
  const script = `process.on('exit', () => { const { userCPUTime, systemCPUTime } = process.resourceUsage();
    console.error('cpu', (userCPUTime + systemCPUTime) / 1e6); });`;
  const preload = `data:text/javascript,${encodeURIComponent(script)}`;
  const run = spawnSync(process.execPath, ['--import', preload, CLI, ...words], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${words.join(' ')}: ${run.stdout}${run.stderr}`);
  const cpu = Number(/cpu ([\d.]+)/.exec(run.stderr)?.[1]);
  return { wall: Number(process.hrtime.bigint() - begun) / 1e9, cpu };
}

/** @param {string} directory */
function bytesOf(directory) {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) =>
    statSync(join(directory, name)),
  );
  return files.reduce((sum, facts) => sum + (facts.isFile() ? facts.size : 0), 0);
}

/**
 * @param {string} title
 * @param {string} state
 */
function compare(title, state) {
  const key = join(base, 'key');
  writeFileSync(key, randomBytes(32));
  /** @type {Record<string, {wall: number, cpu: number}[]>} */
  const seen = {};
  /** @type {Record<string, number>} */
  const sizes = {};
  for (let round = 0; round < Number(values.runs); round += 1) {
    for (const [name, words] of /** @type {[string, string[]][]} */ ([
      ['plain', []],
      ['encrypted', [`--key-file=${key}`]],
    ])) {
      const store = join(base, `keep-${title}-${name}-${round}`);
      const target = join(base, `back-${title}-${name}-${round}`);
      const made = words.length > 0 ? [...words, '--encrypt'] : [];
      const captured = timed(['capture', `--state-dir=${state}`, `--store=${store}`, ...made]);
      const recovered = timed(['recover', `--state-dir=${target}`, `--store=${store}`, ...words]);
      seen[`capture ${name}`] = [...(seen[`capture ${name}`] ?? []), captured];
      seen[`recover ${name}`] = [...(seen[`recover ${name}`] ?? []), recovered];
      sizes[name] = bytesOf(store);
      rmSync(store, { recursive: true });
      rmSync(target, { recursive: true });
    }
  }
  for (const [name, runs] of Object.entries(seen)) {
    const wall = median(runs.map((run) => run.wall)).toFixed(2);
    console.log(`${title}: ${name}: ${wall} s, ${median(runs.map((run) => run.cpu)).toFixed(2)} s of processor time`);
  }
  console.log(`${title}: store ${sizes.plain} bytes plain, ${sizes.encrypted} encrypted`);
}

function ciphers() {
  for (const bytes of [100, 64 << 10, 1 << 20]) {
    const data = randomBytes(bytes);
    const times = Math.max(200, Math.floor((64 << 20) / bytes / (bytes < 1000 ? 20 : 1)));
    for (const name of /** @type {const} */ (['aes-256-gcm', 'chacha20-poly1305'])) {
      const [key, nonce] = [randomBytes(32), randomBytes(12)];
      const before = process.cpuUsage();
      for (let index = 0; index < times; index += 1) {
        // Types of the two modes differ only in options that are not used here.
        const cipher = createCipheriv(/** @type {'aes-256-gcm'} */ (name), key, nonce, { authTagLength: 16 });
        cipher.update(data);
        cipher.final();
        cipher.getAuthTag();
      }
      const { user, system } = process.cpuUsage(before);
      const each = (user + system) / times;
      console.log(`${name}, ${bytes} bytes: ${each.toFixed(1)} us each, ${Math.round(bytes / each)} MB/s`);
    }
  }
}

try {
  ciphers();
  compare('large files', makeLarge());
  compare('small files', makeSmall());
} finally {
  rmSync(base, { recursive: true, force: true });
}
