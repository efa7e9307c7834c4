/**
 * The older system's delta path with its own library (Go, klauspost/compress), where both are installed: `older-path.go`.
 * Debian: golang-go and golang-github-klauspost-compress-dev.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('older-path.go', import.meta.url));
/** Where Debian puts libraries of Go. */
const LIBRARIES = '/usr/share/gocode';
const NUMBERS = /** @type {const} */ ([
  'bytes',
  'encodeWallNs',
  'encodeCpuNs',
  'decodeWallNs',
  'decodeCpuNs',
  'threads',
]);

/**
 * @typedef {{ readonly program: string } | { readonly missing: string }} OlderBuild
 * @typedef {{ readonly bytes: number, readonly threads: number, readonly encode: Times, readonly decode: Times }} OlderFigures
 * @typedef {{ readonly wallMs: number, readonly cpuMs: number }} Times
 */

/**
 * Builds the program, or says why that cannot be done.
 * @param {string} directory
 * @param {string} [compiler]
 * @returns {OlderBuild}
 */
export function buildOlder(directory, compiler = 'go') {
  const program = join(directory, 'older-path');
  const env = {
    ...process.env,
    GOPATH: process.env.GOPATH ?? LIBRARIES,
    GO111MODULE: 'off',
    GOCACHE: join(directory, 'go-cache'),
  };
  const built = spawnSync(compiler, ['build', '-o', program, PROGRAM], { encoding: 'utf8', env });
  if (built.error) return { missing: `${compiler} is not installed` };
  if (built.status === 0) return { program };
  const [reason = 'it ended without a word'] = built.stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return { missing: `it cannot be built: ${reason.trim()}` };
}

/**
 * What the program said. Throws when that is not all of it.
 * @param {string} text
 * @returns {OlderFigures}
 */
export function readOlder(text) {
  const said = JSON.parse(text);
  for (const name of NUMBERS) {
    if (!Number.isSafeInteger(said[name]) || said[name] <= 0)
      throw new Error(`older-path: no ${name} in ${text.trim()}`);
  }
  const { bytes, threads } = said;
  const times = (/** @type {number} */ wallNs, /** @type {number} */ cpuNs) => ({
    wallMs: wallNs / 1e6,
    cpuMs: cpuNs / 1e6,
  });
  return {
    bytes,
    threads,
    encode: times(said.encodeWallNs, said.encodeCpuNs),
    decode: times(said.decodeWallNs, said.decodeCpuNs),
  };
}

/**
 * Codes a pair of states, or a state alone, and brings it back, in a process of its own.
 * @param {string} program
 * @param {{ directory: string, source?: Buffer, target: Buffer, level: number, times: number }} job
 * @returns {OlderFigures}
 */
export function runOlder(program, { directory, source, target, level, times }) {
  const to = join(directory, 'older-target');
  writeFileSync(to, target);
  const words = [`${level}`, `${times}`, to];
  if (source !== undefined) {
    const from = join(directory, 'older-source');
    writeFileSync(from, source);
    words.push(from);
  }
  const run = spawnSync(program, words, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`older-path: ${run.stderr || run.error?.message}`);
  return readOlder(run.stdout);
}

/**
 * The figures, or why there are none.
 * @param {OlderBuild | undefined} build
 * @param {Parameters<typeof runOlder>[1]} job
 * @returns {OlderFigures | { readonly missing: string }}
 */
export function olderFigures(build, job) {
  if (build === undefined) return { missing: 'it was not asked for' };
  return 'program' in build ? runOlder(build.program, job) : build;
}
