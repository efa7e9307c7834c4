/**
 * Process 1 of a container inherits every orphan and has to collect it when it ends; otherwise the dead fill the table
 * of processes. Node collects only what it has started itself. In freeze mode orphans are wanted: a daemon that has left its
 * parent, group, session and environment behind is still found, as a child of ours.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Logger } from '../core/core.js';
import { loadProcessCalls, type ProcessCalls } from '../engine/load.js';
import { collectsItself } from './own-start.js';
import { hasEnded, leaderOf, parentOf, processIds } from './proc.js';
import type { Adoption } from './survey.js';

/** Node collects its own at once: what is still there after this time is an orphan, ms. */
const PATIENCE_MS = 500;

/** Children of ours, ended ones too: as the kernel lists them for each thread, else looked for among all processes. */
function ownChildren(): number[] {
  try {
    return readdirSync('/proc/self/task').flatMap((thread) =>
      (readFileSync(`/proc/self/task/${thread}/children`, 'latin1').match(/\d+/g) ?? []).map(Number),
    );
  } catch {
    // A thread has just ended, or the kernel was built without these lists.
    return processIds().filter((pid) => parentOf(pid) === process.pid);
  }
}

export class Reaper {
  readonly #calls: ProcessCalls;
  /** Given where orphans come to us because we asked for them. */
  readonly adoption: Adoption | undefined;
  readonly #onChild = (): void => this.#soon();
  #timer: NodeJS.Timeout | undefined;
  #seen = new Set<number>();

  private constructor(calls: ProcessCalls, adopts: boolean) {
    this.#calls = calls;
    const before = ownChildren().map((pid) => [pid, leaderOf(pid).startTicks] as const);
    this.adoption = adopts ? { strangers: new Map(before) } : undefined;
    process.on('SIGCHLD', this.#onChild);
  }

  /**
   * Starts collecting when we are process 1; otherwise there is nothing to do, unless orphans are wanted.
   *
   * @param wanted orphans below us are to come to us, and to be collected by us
   */
  static start(logger: Logger, wanted: boolean): Reaper | undefined {
    const calls = process.pid === 1 || wanted ? loadProcessCalls() : undefined;
    if (calls === undefined && process.pid === 1) {
      logger.warn(
        {},
        'process 1 without the native addon: orphans are not collected; start the container with an init',
      );
    }
    const adopts = wanted && calls?.adoptOrphans() === true;
    return calls && (adopts || process.pid === 1) ? new Reaper(calls, adopts) : undefined;
  }

  stop(): void {
    process.off('SIGCHLD', this.#onChild);
    clearTimeout(this.#timer);
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      try {
        this.#collect();
      } catch {
        // No file can be opened now: they have to wait, and the application has not.
        this.#soon();
      }
    }, PATIENCE_MS).unref();
  }

  /** Collects what was there already at the last look, so that nothing is taken from under Node's hands. */
  #collect(): void {
    const ended = ownChildren().filter((pid) => !collectsItself(pid) && hasEnded(pid));
    for (const pid of ended) if (this.#seen.has(pid)) this.#calls.reapProcess(pid);
    const fresh = ended.filter((pid) => !this.#seen.has(pid));
    this.#seen = new Set(fresh);
    if (fresh.length > 0) this.#soon();
  }
}
