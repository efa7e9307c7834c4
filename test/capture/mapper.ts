/** A process that stores into files through shared mappings. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const MAPPER = fileURLToPath(new URL('mapper.py', import.meta.url));

export class Mapper {
  readonly #process: ChildProcessWithoutNullStreams;

  constructor(cwd: string) {
    this.#process = spawn('python3', [MAPPER], { cwd });
    this.#process.stderr.pipe(process.stderr);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Resolves when it is done: `map FILE`, `store FILE OFFSET TEXT`, `unmap FILE`. */
  async order(text: string): Promise<void> {
    const done = once(this.#process.stdout, 'data');
    this.#process.stdin.write(`${text}\n`);
    await done;
  }

  async end(): Promise<void> {
    const ended = once(this.#process, 'close');
    this.#process.stdin.end();
    await ended;
  }
}
