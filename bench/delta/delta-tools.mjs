// The tools that make deltas: how each is called, and up to which size of the target it is asked to.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ONE = fileURLToPath(new URL('one.mjs', import.meta.url));
const MIB = 2 ** 20;

/**
 * @typedef {{ command: string, args: string[] }} Step
 * @typedef {{ source: string, target: string, delta: string, result: string, extra: string }} Places
 * @typedef {object} Peer
 * @property {string} name
 * @property {boolean} ours
 * @property {number} bytesMax longest target that it is given; above, it takes too long for a table made in minutes
 * @property {(places: Places) => Step[]} diff
 * @property {(places: Places) => Step[]} patch
 * @property {() => string} version
 */

/**
 * @param {string} command
 * @param {readonly string[]} args
 */
function firstLine(command, args) {
  try {
    return execFileSync('sh', ['-c', `"$0" "$@" 2>&1 | head -n 1`, command, ...args], { encoding: 'utf8' }).trim();
  } catch {
    return 'not installed';
  }
}

/**
 * @param {string} effort
 * @param {number} bytesMax
 * @returns {Peer}
 */
const ours = (effort, bytesMax) => ({
  name: `diffkeeper ${effort}`,
  ours: true,
  bytesMax,
  diff: ({ source, target, delta }) => [
    { command: process.execPath, args: [ONE, 'diff', effort, source, target, delta] },
  ],
  patch: ({ source, delta, result }) => [
    { command: process.execPath, args: [ONE, 'patch', '-', source, delta, result] },
  ],
  version: () => 'this commit',
});

/**
 * @param {number} level
 * @param {number} bytesMax
 * @returns {Peer}
 */
const zstd = (level, bytesMax) => ({
  name: `zstd -${level}`,
  ours: false,
  bytesMax,
  diff: ({ source, target, delta }) => [
    { command: 'zstd', args: ['-q', '-f', `-${level}`, '--long=31', `--patch-from=${source}`, target, '-o', delta] },
  ],
  patch: ({ source, delta, result }) => [
    { command: 'zstd', args: ['-q', '-f', '-d', '--long=31', `--patch-from=${source}`, delta, '-o', result] },
  ],
  version: () => firstLine('zstd', ['--version']),
});

/**
 * @param {number} level
 * @param {number} bytesMax
 * @returns {Peer}
 */
const xdelta = (level, bytesMax) => ({
  name: `xdelta3 -${level}`,
  ours: false,
  bytesMax,
  diff: ({ source, target, delta }) => [
    { command: 'xdelta3', args: ['-f', `-${level}`, '-B', '2000000000', '-e', '-s', source, target, delta] },
  ],
  patch: ({ source, delta, result }) => [
    { command: 'xdelta3', args: ['-f', '-B', '2000000000', '-d', '-s', source, delta, result] },
  ],
  version: () => firstLine('xdelta3', ['-V']),
});

/** @type {readonly Peer[]} */
export const PEERS = [
  ours('fast', Number.POSITIVE_INFINITY),
  ours('balanced', Number.POSITIVE_INFINITY),
  ours('max', 256 * MIB),
  zstd(3, Number.POSITIVE_INFINITY),
  zstd(9, 256 * MIB),
  zstd(19, 64 * MIB),
  xdelta(1, Number.POSITIVE_INFINITY),
  xdelta(9, 64 * MIB),
  {
    name: 'bsdiff',
    ours: false,
    bytesMax: 32 * MIB,
    diff: ({ source, target, delta }) => [{ command: 'bsdiff', args: [source, target, delta] }],
    patch: ({ source, delta, result }) => [{ command: 'bspatch', args: [source, result, delta] }],
    version: () => `Debian ${firstLine('dpkg-query', ['-W', '-f', '\x24{Version}', 'bsdiff'])}`,
  },
  {
    name: 'rdiff',
    ours: false,
    bytesMax: Number.POSITIVE_INFINITY,
    diff: ({ source, target, delta, extra }) => [
      { command: 'rdiff', args: ['-f', 'signature', source, extra] },
      { command: 'rdiff', args: ['-f', 'delta', extra, target, delta] },
    ],
    patch: ({ source, delta, result }) => [{ command: 'rdiff', args: ['-f', 'patch', source, delta, result] }],
    version: () => firstLine('rdiff', ['--version']),
  },
];
