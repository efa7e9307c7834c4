// The pairs of files that `compare.mjs` measures: name, what it is, how it changed, and how it is made. Made once, from
// seeds, npm packages, or programs that run, into a folder.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ext4Images, postgresDirectories, redisPair } from './program-pairs.mjs';
import { PAIRS as QUICK_PAIRS, seeded } from './quick-pairs.mjs';

/**
 * @typedef {object} Pair
 * @property {string} name
 * @property {string} what
 * @property {'in place' | 'shifted' | 'executable' | 'floats' | 'other'} change
 * @property {(folder: string, root: string, scale: number) => void} make
 */

const TRAIN = fileURLToPath(new URL('train.py', import.meta.url));
const MIB = 2 ** 20;
const BIG_BYTES = 1024 * MIB;

/** @param {string} name */
const quick = (name) => QUICK_PAIRS[name];

/**
 * A JSON configuration of about 13 KB, a few values of which changed.
 * @param {string} folder
 */
function jsonConfig(folder) {
  const text = (/** @type {boolean} */ later) => {
    const random = seeded(12);
    const services = Array.from({ length: 110 }, (_, i) => ({
      name: `service-${i}`,
      image: `registry/app-${random(40)}:${random(9)}.${random(30)}`,
      replicas: random(9) + (later && i % 25 === 3 ? 1 : 0),
      limits: { cpu: `${random(4000)}m`, memory: `${random(2048)}Mi` },
    }));
    return JSON.stringify({ version: later ? '2.4.1' : '2.4.0', services }, null, 1);
  };
  fs.writeFileSync(path.join(folder, 'source'), text(false));
  fs.writeFileSync(path.join(folder, 'target'), text(true));
}

/**
 * A gigabyte of which one page in a hundred changed, written piece by piece.
 * @param {string} folder
 * @param {string} _root
 * @param {number} scale
 */
function bigInPlace(folder, _root, scale) {
  const random = seeded(91);
  const [source, target] = ['source', 'target'].map((name) => fs.openSync(path.join(folder, name), 'w'));
  const piece = Buffer.alloc(MIB);
  for (let at = 0; at < BIG_BYTES * scale; at += MIB) {
    for (let i = 0; i < MIB; i += 4) piece.writeUInt32LE(random(1 << (8 + ((i >> 12) % 24))), i);
    fs.writeSync(source, piece);
    for (let page = 0; page < MIB; page += 4096) {
      if (random(100) === 0) for (let i = 0; i < 64; i += 4) piece.writeUInt32LE(random(0xffffffff), page + i * 9);
    }
    fs.writeSync(target, piece);
  }
  fs.closeSync(source);
  fs.closeSync(target);
}

/** @param {string} dtype */
const trained = (dtype) => (/** @type {string} */ folder, /** @type {string} */ _root, /** @type {number} */ scale) => {
  const width = scale < 1 ? 512 : 2048;
  execFileSync('python3', [TRAIN, folder, dtype, '20', '1', String(width)], { stdio: 'inherit' });
};

/** @type {readonly Pair[]} */
export const PAIRS = [
  { name: 'config-json', what: 'JSON configuration, 5 values changed', change: 'other', make: jsonConfig },
  { name: 'config-yaml', what: 'YAML configuration, 12 values changed', change: 'other', make: quick('config-yaml') },
  { name: 'bundle-js', what: 'typescript.js 5.6.2 to 5.6.3', change: 'shifted', make: quick('text-edit') },
  { name: 'bundle-js-minor', what: 'typescript.js 5.6.3 to 5.7.2', change: 'other', make: quick('text-minor') },
  { name: 'bundle-tar', what: 'the package typescript as tar', change: 'shifted', make: quick('package-tar') },
  { name: 'executable-go', what: 'esbuild 0.25.0 to 0.25.1', change: 'executable', make: quick('executable-go') },
  { name: 'executable-rust', what: 'biome 1.9.3 to 1.9.4', change: 'executable', make: quick('executable-rust') },
  { name: 'sqlite-1', what: 'SQLite, 1 % of pages', change: 'in place', make: quick('sqlite-1') },
  { name: 'sqlite-10', what: 'SQLite, 10 % of pages', change: 'in place', make: quick('sqlite-10') },
  {
    name: 'postgres',
    what: 'PostgreSQL data directory as tar, 500 transactions',
    change: 'other',
    make: postgresDirectories,
  },
  { name: 'redis-memory', what: 'memory of a busy redis-server', change: 'in place', make: redisPair('memory') },
  { name: 'redis-rdb', what: 'redis RDB, 2 % of keys changed', change: 'other', make: redisPair('rdb') },
  { name: 'append-log', what: 'log, 7 % appended', change: 'in place', make: quick('append-log') },
  { name: 'shifted-log', what: 'log, 70 KB inserted in front', change: 'shifted', make: quick('shifted-insert') },
  { name: 'ext4', what: 'ext4 image, some files rewritten', change: 'in place', make: ext4Images },
  { name: 'weights-fp32', what: 'safetensors fp32, one step of AdamW', change: 'floats', make: trained('fp32') },
  { name: 'weights-bf16', what: 'safetensors bf16, one step of AdamW', change: 'floats', make: trained('bf16') },
  { name: 'optimizer', what: 'safetensors fp32 with moments', change: 'floats', make: trained('optimizer') },
  { name: 'noise-inserts', what: 'random bytes, 300 insertions', change: 'shifted', make: quick('noise-inserts') },
  { name: 'big-in-place', what: '1 GiB, 1 % of pages', change: 'in place', make: bigInPlace },
];

/**
 * Makes a pair unless it is there; answers why it cannot be made.
 * @param {Pair} pair
 * @param {string} root
 * @param {number} scale
 * @returns {{ folder: string, failed: string | undefined }}
 */
export function madePair(pair, root, scale) {
  const folder = path.join(root, `${pair.name}${scale < 1 ? '-quick' : ''}`);
  const done = path.join(folder, 'done');
  if (fs.existsSync(done)) return { folder, failed: undefined };
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  try {
    pair.make(folder, root, scale);
  } catch (error) {
    return { folder, failed: (error instanceof Error ? error.message : String(error)).split('\n')[0] };
  }
  fs.writeFileSync(done, '');
  return { folder, failed: undefined };
}
