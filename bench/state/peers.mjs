/** What the state encoder is compared with: plain references of the older path and of XBZRLE, and the zstd program. */
import { spawnSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PAGE_BYTES = 4096;

/** @param {number} value */
function lebBytes(value) {
  return value < 128 ? 1 : value < 16384 ? 2 : 3;
}

/**
 * Bytes of one page as QEMU's XBZRLE codes it: runs of equal and of new bytes in turn, lengths as LEB128. Never above
 * the page itself.
 * @param {Buffer} source
 * @param {Buffer} target
 * @param {number} start
 */
function pageBytes(source, target, start) {
  let bytes = 0;
  let at = start;
  const end = start + PAGE_BYTES;
  while (at < end) {
    const equalFrom = at;
    while (at < end && source[at] === target[at]) at += 1;
    if (at === end) break;
    const newFrom = at;
    while (at < end && source[at] !== target[at]) at += 1;
    bytes += lebBytes(newFrom - equalFrom) + lebBytes(at - newFrom) + (at - newFrom);
    if (bytes >= PAGE_BYTES) return PAGE_BYTES;
  }
  return bytes;
}

/**
 * Page deltas of a live migration: changed pages only, each with an address of 8 bytes and a head of 3.
 * @param {Buffer} source
 * @param {Buffer} target
 */
export function xbzrleBytes(source, target) {
  let bytes = 0;
  for (let start = 0; start < target.length; start += PAGE_BYTES) {
    const end = Math.min(start + PAGE_BYTES, target.length);
    if (end <= source.length && target.compare(source, start, end, start, end) === 0) continue;
    const whole = end - start < PAGE_BYTES || end > source.length;
    bytes += 11 + (whole ? end - start : pageBytes(source, target, start));
  }
  return bytes;
}

/**
 * The older encoder's delta path written again with the zstd of the engine: XOR over everything, level 3. One thread. What it did with its own
 * library is measured by `older-system.mjs`.
 * @param {import('../../src/engine/engine.js').Engine} engine
 * @param {Buffer} source
 * @param {Buffer} target
 */
export async function olderDelta(engine, source, target) {
  const delta = Buffer.allocUnsafe(Math.max(source.length, target.length));
  const words = Math.min(source.length, target.length) >> 3;
  const from = new BigUint64Array(source.buffer, source.byteOffset, words);
  const to = new BigUint64Array(target.buffer, target.byteOffset, words);
  const out = new BigUint64Array(delta.buffer, delta.byteOffset, words);
  for (let i = 0; i < words; i += 1) out[i] = /** @type {bigint} */ (from[i]) ^ /** @type {bigint} */ (to[i]);
  for (let i = words * 8; i < delta.length; i += 1) delta[i] = (source[i] ?? 0) ^ (target[i] ?? 0);
  return engine.compress(delta, { level: 3 });
}

/**
 * zstd as a program, one thread: bytes and processor milliseconds, start of the program included.
 * @param {readonly string[]} words
 * @param {string} out
 */
function zstdRun(words, out) {
  const all = ['-f', '%U %S', 'zstd', '-q', '-f', '--single-thread', ...words, '-o', out];
  const run = spawnSync('/usr/bin/time', all, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`zstd: ${run.stderr || run.error?.message}`);
  const [user = 0, system = 0] = (run.stderr.trim().split('\n').pop() ?? '').split(' ').map(Number);
  return { bytes: statSync(out).size, cpuMs: (user + system) * 1000 };
}

/**
 * `zstd --patch-from`, level 3.
 * @param {string} directory
 * @param {Buffer} source
 * @param {Buffer} target
 */
export function zstdPatch(directory, source, target) {
  const [from, to] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(from, source);
  writeFileSync(to, target);
  const log = Math.min(31, Math.max(10, Math.ceil(Math.log2(source.length + target.length + 1))));
  return zstdRun(['-3', `--long=${log}`, `--patch-from=${from}`, to], join(directory, 'delta'));
}

/**
 * The state by itself.
 * @param {string} directory
 * @param {Buffer} state
 * @param {number} level
 */
export function zstdAlone(directory, state, level) {
  const from = join(directory, 'source');
  writeFileSync(from, state);
  return zstdRun([`-${level}`, from], join(directory, 'delta'));
}
