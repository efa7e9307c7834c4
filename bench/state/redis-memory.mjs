/** Memory of a redis-server under load: its writable private mappings, read while it is stopped, at intervals. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../lib/seeded-data.mjs';

/** @param {number} pid */
function writableMemory(pid) {
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').trim().split('\n');
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const pieces = [];
  for (const line of maps) {
    const found = /^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ \d+\s*(.*)$/.exec(line);
    if (!found || /stack|vvar|vdso/.test(found[3] ?? '')) continue;
    const start = Number.parseInt(/** @type {string} */ (found[1]), 16);
    const piece = Buffer.alloc(Number.parseInt(/** @type {string} */ (found[2]), 16) - start);
    try {
      readSync(memory, piece, 0, piece.length, start);
      pieces.push(piece);
    } catch {
      // Reserved and never backed: nothing to keep.
    }
  }
  closeSync(memory);
  return Buffer.concat(pieces);
}

/** @param {readonly string[]} words */
const command = (words) =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;

/**
 * Writes `count` dumps; returns their paths. Sessions and counters as a cache has them, `changes` of them between dumps.
 * @param {{ directory: string, count: number, keys: number, changes: number }} options
 */
export async function redisMemory({ directory, count, keys, changes }) {
  const socket = join(directory, 'redis.sock');
  const words = ['--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', 'no', '--dir', directory];
  const server = spawn('redis-server', words, { stdio: 'ignore' });
  const failed = once(server, 'error').then(([error]) => Promise.reject(error));
  try {
    await Promise.race([failed, waitFor(() => existsSync(socket))]);
    const client = connect(socket);
    await once(client, 'connect');
    let replies = 0;
    client.on('data', (data) => {
      for (const byte of data) if (byte === 10) replies += 1;
    });
    const random = new SeededRandom('redis');
    /** @param {number} from @param {number} number */
    const write = async (from, number) => {
      const before = replies;
      for (let i = 0; i < number; i += 1) {
        const key = from < 0 ? random.below(keys) : from + i;
        const value = `{"user":${key},"token":"${random.bytes(24).toString('hex')}","seen":${random.below(1e9)}}`;
        client.write(command(['SET', `session:${key}`, value]));
      }
      await waitFor(() => replies - before >= number);
    };
    await write(0, keys);
    const files = [];
    for (let i = 0; i < count; i += 1) {
      if (i > 0) await write(-1, changes);
      process.kill(/** @type {number} */ (server.pid), 'SIGSTOP');
      const file = join(directory, `redis-${i}`);
      writeFileSync(file, writableMemory(/** @type {number} */ (server.pid)));
      process.kill(/** @type {number} */ (server.pid), 'SIGCONT');
      files.push(file);
    }
    client.destroy();
    return files;
  } finally {
    failed.catch(() => {});
    server.kill('SIGKILL');
  }
}

/** @param {() => boolean} condition */
export async function waitFor(condition, timeoutMs = 60_000) {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error('waited in vain');
    await sleep(5);
  }
}
