/** A running `diffkeeper watch`, its acknowledgements, and the calls by which programs make bytes durable. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { killGroup, startProgram } from './timed-run.mjs';
import { CLI } from './tools.mjs';

const PATIENCE_MS = 30_000;
const SYNC_CALLS = 'fsync,fdatasync,msync,sync_file_range,sync,syncfs';

/**
 * The same command under strace, which writes every call that makes bytes durable to a file, a line each.
 * @param {import('./bench-types.js').Step} step
 * @param {string} file
 * @returns {import('./bench-types.js').Step}
 */
export function traced({ command, args, cwd }, file) {
  const options = ['-f', '-qq', '-e', `trace=${SYNC_CALLS}`, '-e', 'signal=none', '-o', file, command];
  return { command: 'strace', args: [...options, ...args], ...(cwd === undefined ? {} : { cwd }) };
}

/**
 * Calls in such a file; one that was interrupted by another thread's stands there in two parts and counts once.
 * @param {string} file
 */
export function syncCallsIn(file) {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => /^\d+ +\w+\(/.test(line)).length;
}

/**
 * @typedef {object} Acknowledgement
 * @property {number} atMs when the line arrived here, on the clock of `performance.now`
 * @property {number} elapsedMs what the capture itself took, from the look at the files to the durable checkpoint
 */

/** One sidecar. */
export class WatchSession {
  #child;
  /** @type {Acknowledgement[]} */
  #arrived = [];
  /** @type {() => void} */
  #wake = () => {};
  /** @type {string | undefined} */
  #ended;

  /**
   * @param {import('./bench-types.js').Place} place
   * @param {string} [traceFile] counts calls there
   */
  constructor(place, traceFile) {
    const args = [CLI, 'watch', `--state-dir=${place.state}`, `--store=${place.store}`, '--json'];
    const plain = { command: process.execPath, args };
    const step = traceFile === undefined ? plain : traced(plain, traceFile);
    this.#child = startProgram(step.command, step.args, { env: place.env, stdio: ['ignore', 'pipe', 'ignore'] });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error('no stdout');
    createInterface({ input: stdout }).on('line', (line) => this.#take(line));
    this.closed = new Promise((resolve) => {
      this.#child.once('error', (error) => this.#end(String(error), resolve));
      this.#child.once('close', (code, signal) => this.#end(`ended with ${code ?? signal}`, resolve));
    });
  }

  /** @param {string} line */
  #take(line) {
    const atMs = performance.now();
    const record = JSON.parse(line);
    if (record.type !== 'checkpoint') return;
    this.#arrived.push({ atMs, elapsedMs: record.elapsedMs });
    this.#wake();
  }

  /**
   * @param {string} reason
   * @param {(value: undefined) => void} resolve
   */
  #end(reason, resolve) {
    this.#ended = reason;
    this.#wake();
    resolve(undefined);
  }

  /**
   * The next checkpoint that nobody has taken yet.
   * @returns {Promise<Acknowledgement>}
   */
  async acknowledged() {
    const endMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const next = this.#arrived.shift();
      if (next !== undefined) return next;
      if (this.#ended !== undefined) throw new Error(`diffkeeper watch ${this.#ended}`);
      if (performance.now() > endMs) throw new Error(`no checkpoint within ${PATIENCE_MS / 1000} s`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, PATIENCE_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve(undefined);
        };
      });
    }
  }

  /** Largest memory so far, bytes. */
  get peakBytes() {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024;
  }

  /** @param {NodeJS.Signals} signal */
  async stop(signal) {
    killGroup(this.#child, signal);
    await this.closed;
  }
}
