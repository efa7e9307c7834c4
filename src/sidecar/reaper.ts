/**
 * Process 1 of a container inherits every orphan and has to collect it when it ends; otherwise the dead fill the table
 * of processes. Node collects only what it has started itself.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Logger } from '../core/core.js';
import { loadProcessCalls, type ProcessCalls } from '../engine/load.js';

/** Node collects its own at once: what is still there after this time is an orphan, ms. */
const PATIENCE_MS = 500;

/** Ended processes whose parent we are. */
function endedChildren(): number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const line = readFileSync(`/proc/${name}/stat`, 'latin1');
      const [state, parent] = line.slice(line.lastIndexOf(')') + 2).split(' ');
      if (state === 'Z' && Number(parent) === process.pid) found.push(Number(name));
    } catch {
      // It is gone.
    }
  }
  return found;
}

export class Reaper {
  readonly #calls: ProcessCalls;
  readonly #onChild = (): void => this.#soon();
  #timer: NodeJS.Timeout | undefined;
  #seen = new Set<number>();

  private constructor(calls: ProcessCalls) {
    this.#calls = calls;
    process.on('SIGCHLD', this.#onChild);
  }

  /** Starts collecting when we are process 1; otherwise there is nothing to do. */
  static start(logger: Logger): Reaper | undefined {
    if (process.pid !== 1) return undefined;
    const calls = loadProcessCalls();
    if (calls === undefined) {
      logger.warn(
        {},
        'process 1 without the native addon: orphans are not collected; start the container with an init',
      );
      return undefined;
    }
    return new Reaper(calls);
  }

  stop(): void {
    process.off('SIGCHLD', this.#onChild);
    clearTimeout(this.#timer);
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#collect();
    }, PATIENCE_MS).unref();
  }

  /** Collects what was there already at the last look, so that nothing is taken from under Node's hands. */
  #collect(): void {
    const ended = endedChildren();
    for (const pid of ended) if (this.#seen.has(pid)) this.#calls.reapProcess(pid);
    const fresh = ended.filter((pid) => !this.#seen.has(pid));
    this.#seen = new Set(fresh);
    if (fresh.length > 0) this.#soon();
  }
}
