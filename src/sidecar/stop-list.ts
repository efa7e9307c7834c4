/**
 * Who may be stopped by signals, in a file of the store: should we be killed in a standstill, and the watchdog with us, the
 * next run lets them go on. It is written beside the run, never in its way, and only when somebody is new, which is seldom;
 * it is not synced, since a machine that goes down takes the processes along.
 *
 *   (process id, space, clock ticks from boot to its start, newline)*
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import * as path from 'node:path';
import { writeFileAdvisory } from '../core/core.js';
import { isStopped, isStopping, leaderOf } from './proc.js';

const NAME = 'stopped-processes';
/** As many are remembered: more than any application has. */
const PROCESSES_MAX = 65_536;
const BYTES_MAX = 32 * PROCESSES_MAX;

export class StopList {
  readonly #file: string;
  #noted: ReadonlySet<number> = new Set();
  #writing: Promise<void> | undefined;

  constructor(storePath: string) {
    this.#file = path.join(storePath, NAME);
  }

  /** Lets those go on that an earlier run has left stopped; gives how many. */
  resumeLeft(): number {
    let resumed = 0;
    for (const line of this.#text().split('\n')) {
      const [, pid, startTicks] = /^(\d{1,10}) (\d{1,15})$/.exec(line) ?? [];
      if (pid === undefined || leaderOf(Number(pid)).startTicks !== Number(startTicks)) continue;
      if (!isStopping(Number(pid))) continue;
      try {
        process.kill(Number(pid), 'SIGCONT');
        resumed += 1;
      } catch {
        // It has ended, or is not ours any more.
      }
    }
    return resumed;
  }

  #text(): string {
    try {
      // What is no file of ours is neither followed nor waited for.
      const file = openSync(this.#file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      try {
        const facts = fstatSync(file);
        return facts.isFile() && facts.size <= BYTES_MAX ? readFileSync(file, 'latin1') : '';
      } finally {
        closeSync(file);
      }
    } catch {
      // There is none, as after every run that ended well.
      return '';
    }
  }

  /** Before they are stopped. Returns at once; where nothing can be written, the watchdog alone has to do. */
  note(pids: ReadonlySet<number>): void {
    if (this.#writing || [...pids].every((pid) => this.#noted.has(pid))) return;
    // Whom the user has stopped (Ctrl-Z in a shell) is to stay so; should he continue it, it is noted next time.
    const moving = [...pids].slice(0, PROCESSES_MAX).filter((pid) => !isStopped(pid));
    if (moving.every((pid) => this.#noted.has(pid))) return;
    this.#noted = new Set(moving);
    const lines = moving.map(leaderOf).map(({ pid, startTicks }) => `${pid} ${startTicks}\n`);
    const forget = (): void => {
      this.#noted = new Set();
    };
    // Replaced, not rewritten: killed in between, the last list is still there.
    this.#writing = writeFileAdvisory(this.#file, Buffer.from(lines.join('')))
      .catch(forget)
      .finally(() => {
        this.#writing = undefined;
      });
  }

  /** Everybody goes on, and nobody is stopped any more. */
  async remove(): Promise<void> {
    await this.#writing;
    await rm(this.#file, { force: true }).catch(() => {});
  }
}
