/**
 * A long line on one machine: two network namespaces with the shaper between them, or, where those are not permitted, a
 * relay in this process that delays and slows bytes (but cannot lose packets).
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('wan-shaper.cc', import.meta.url));

/**
 * @typedef {object} Wan
 * @property {boolean} packets true: namespaces, with loss; false: the relay
 * @property {readonly string[]} near command in front of a program of the sending end
 * @property {readonly string[]} far command in front of a program of the receiving end
 * @property {string} host where the receiving end listens
 * @property {(port: number) => Promise<{ host: string, port: number }>} reach where the sending end finds that port
 */

/** @param {string} command @param {readonly string[]} args */
function must(command, args) {
  const run = spawnSync(command, args, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${run.stderr || run.error?.message}`);
}

/** Whether this process may make namespaces and TUN devices. */
export function mayShapePackets() {
  if (process.getuid?.() !== 0 || !existsSync('/dev/net/tun')) return false;
  const name = `dkp${process.pid}`;
  const made = spawnSync('ip', ['netns', 'add', name]).status === 0;
  if (!made) return false;
  const device = spawnSync('ip', ['-n', name, 'tuntap', 'add', 'probe', 'mode', 'tun']).status === 0;
  spawnSync('ip', ['netns', 'del', name]);
  return device;
}

/** Builds the shaper. @param {string} directory */
export function buildShaper(directory) {
  const program = join(directory, 'wan-shaper');
  must('g++', ['-O2', '-std=c++17', '-pthread', '-o', program, SOURCE]);
  return program;
}

/**
 * Runs with a line of packets.
 * @template T
 * @param {{ program: string, mbit: number, rttMs: number, lossPercent: number, seed?: number }} line
 * @param {(wan: Wan) => Promise<T>} task
 * @returns {Promise<T>}
 */
export async function withPackets({ program, mbit, rttMs, lossPercent, seed = 42 }, task) {
  const [a, b] = [`dka${process.pid}`, `dkb${process.pid}`];
  let shaper;
  try {
    for (const name of [a, b]) must('ip', ['netns', 'add', name]);
    const words = [a, b, mbit, rttMs / 2, lossPercent, seed].map(String);
    const started = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    shaper = started;
    await new Promise((resolve, reject) => {
      started.stdout.once('data', resolve);
      started.once('exit', () => reject(new Error('the shaper did not start')));
    });
    for (const [name, address] of [
      [a, '10.99.0.1/24'],
      [b, '10.99.0.2/24'],
    ]) {
      must('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
      must('ip', ['-n', name, 'addr', 'add', address, 'dev', 'wan0']);
      must('ip', ['-n', name, 'link', 'set', 'wan0', 'txqueuelen', '10000', 'up']);
    }
    const inside = (/** @type {string} */ name) => ['ip', 'netns', 'exec', name];
    const host = '10.99.0.2';
    const reach = async (/** @type {number} */ port) => ({ host, port });
    return await task({ packets: true, near: inside(a), far: inside(b), host, reach });
  } finally {
    shaper?.kill('SIGTERM');
    for (const name of [a, b]) spawnSync('ip', ['netns', 'del', name]);
  }
}

/**
 * Runs with the relay: each connection is delayed by half the round trip each way, all share the rate.
 * @template T
 * @param {{ mbit: number, rttMs: number }} line
 * @param {(wan: Wan) => Promise<T>} task
 * @returns {Promise<T>}
 */
export async function withRelay({ mbit, rttMs }, task) {
  const bytesPerMs = (mbit * 1e6) / 8 / 1000;
  /** @type {import('node:net').Server[]} */
  const servers = [];
  const free = [0, 0];
  /** @param {import('node:net').Socket} from @param {import('node:net').Socket} to @param {0 | 1} way */
  const carry = (from, to, way) => {
    from.on('data', (chunk) => {
      const now = performance.now();
      free[way] = Math.max(free[way] ?? 0, now) + chunk.length / bytesPerMs;
      from.pause();
      setTimeout(() => from.resume(), (free[way] ?? now) - now);
      setTimeout(() => to.write(chunk), (free[way] ?? now) - now + rttMs / 2);
    });
    from.on('error', () => to.destroy());
    from.on('end', () => setTimeout(() => to.end(), rttMs));
  };
  const reach = async (/** @type {number} */ port) => {
    const server = createServer((near) => {
      const far = connect({ host: '127.0.0.1', port });
      carry(near, far, 0);
      carry(far, near, 1);
    });
    servers.push(server);
    await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
    const address = /** @type {import('node:net').AddressInfo} */ (server.address());
    return { host: '127.0.0.1', port: address.port };
  };
  try {
    return await task({ packets: false, near: [], far: [], host: '127.0.0.1', reach });
  } finally {
    for (const server of servers) server.close();
  }
}

/** A directory that is removed afterwards. @template T @param {(directory: string) => Promise<T>} task */
export async function withDirectory(task) {
  const directory = mkdtempSync(join(tmpdir(), 'dk-wan-'));
  try {
    return await task(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
