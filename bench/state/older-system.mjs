/**
 * The older system's delta path with its own library (Go, klauspost/compress), where both are installed: `older-path.go`.
 * Debian: golang-go and golang-github-klauspost-compress-dev.
 */
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('older-path.go', import.meta.url));
/** Where Debian puts libraries of Go. */
const LIBRARIES = '/usr/share/gocode';
const NUMBERS = /** @type {const} */ (['bytes', 'threads', 'calls', 'wallNs', 'cpuNs']);

/**
 * @typedef {{ readonly program: string } | { readonly missing: string }} OlderBuild
 * @typedef {{ readonly bytes: number, readonly threads: number, readonly wallMs: number, readonly cpuMs: number }} OlderBlock
 *   one block of calls: medians
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
 * What the program said of a block. Throws when that is not all of it.
 * @param {string} text
 * @returns {OlderBlock}
 */
export function readOlder(text) {
  const said = JSON.parse(text);
  for (const name of NUMBERS) {
    if (!Number.isSafeInteger(said[name]) || said[name] <= 0)
      throw new Error(`older-path: no ${name} in ${text.trim()}`);
  }
  return { bytes: said.bytes, threads: said.threads, wallMs: said.wallNs / 1e6, cpuMs: said.cpuNs / 1e6 };
}

/** The program at work on one pair of states, or on a state alone: it waits until it is asked for a block of calls. */
export class OlderProcess {
  #child;
  #lines;
  #closed;
  #said = '';

  /**
   * @param {string} program
   * @param {{ directory: string, source?: Buffer, target: Buffer, level: number }} job
   */
  constructor(program, { directory, source, target, level }) {
    const to = join(directory, 'older-target');
    writeFileSync(to, target);
    const words = [`${level}`, to];
    if (source !== undefined) {
      const from = join(directory, 'older-source');
      writeFileSync(from, source);
      words.push(from);
    }
    this.#child = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'] });
    // What it could not be told shows as the answer that does not come.
    this.#child.stdin.on('error', () => {});
    this.#child.on('error', (error) => {
      this.#said += error.message;
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#said += text;
    });
    this.#closed = new Promise((resolve) => this.#child.on('close', resolve));
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /**
   * At least so many calls, for at least so long.
   * @param {'encode' | 'decode'} what
   * @param {{ calls: number, ms: number }} least
   */
  async block(what, { calls, ms }) {
    this.#child.stdin.write(`${what} ${calls} ${ms}\n`);
    const { value, done } = await this.#lines.next();
    if (done) {
      await this.#closed;
      throw new Error(`older-path: ${this.#said || 'it ended without a word'}`);
    }
    return readOlder(value);
  }

  /** Ends it. */
  async close() {
    this.#child.stdin.end();
    await this.#closed;
  }
}
