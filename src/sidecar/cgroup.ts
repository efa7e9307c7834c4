/**
 * A control group of our own around the application, where the system lets us make one (cgroup v2): it stops every
 * process in it with one write, unseen by the application, and nobody can leave it by forking.
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import * as path from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type Clock, DiffKeeperError } from '../core/core.js';

const PREFIX = 'diffkeeper-';
/** Looks in immediate succession whether everything stands still. */
const QUICK_LOOKS = 8;

/** Our own place in the hierarchy of version 2; undefined when there is none that we can see. */
function ownDirectory(): string | undefined {
  const line = /^0::(\/.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  // A place outside of our namespace is named with `..`: out of reach.
  if (line === undefined || line.startsWith('/..')) return undefined;
  for (const mount of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const fields = mount.split(' ');
    if (fields[fields.indexOf('-') + 1] !== 'cgroup2') continue;
    const [, , , root = '/', point = ''] = fields;
    const below = path.posix.relative(root, line);
    if (!below.startsWith('..')) return path.join(point, below);
  }
  return undefined;
}

/** Groups of earlier runs that were killed. One whose owner runs stays, although it may be empty: it has just been made. */
function removeLeftovers(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(PREFIX)) continue;
    const owner = name.slice(PREFIX.length);
    if (owner !== String(process.pid) && existsSync(`/proc/${owner}`)) continue;
    try {
      rmdirSync(path.join(directory, name));
    } catch {
      // It is in use.
    }
  }
}

export class FreezeGroup {
  readonly #above: string;
  readonly #directory: string;

  private constructor(above: string, directory: string) {
    this.#above = above;
    this.#directory = directory;
  }

  /** Makes the group; undefined where that is not possible, which is no error. */
  static make(): FreezeGroup | undefined {
    try {
      const above = ownDirectory();
      if (above === undefined) return undefined;
      // Both are needed: to put the application in, and to come back.
      accessSync(path.join(above, 'cgroup.procs'), constants.W_OK);
      removeLeftovers(above);
      const directory = path.join(above, `${PREFIX}${process.pid}`);
      mkdirSync(directory);
      const group = new FreezeGroup(above, directory);
      try {
        accessSync(group.freezeFile, constants.W_OK);
        return group;
      } catch {
        group.remove();
        return undefined;
      }
    } catch {
      return undefined;
    }
  }

  /** File that freezes (`1`) and thaws (`0`). */
  get freezeFile(): string {
    return path.join(this.#directory, 'cgroup.freeze');
  }

  /** Starts something whose process is born in the group: we go in, and come out again. */
  startInside<T>(start: () => T): T {
    writeFileSync(path.join(this.#directory, 'cgroup.procs'), String(process.pid));
    try {
      return start();
    } finally {
      writeFileSync(path.join(this.#above, 'cgroup.procs'), String(process.pid));
    }
  }

  /** Processes in the group and in those that the application made below it. */
  members(): Set<number> {
    const found = new Set<number>();
    for (let level = [this.#directory]; level.length > 0; ) {
      const below: string[] = [];
      for (const directory of level) {
        for (const pid of readFileSync(path.join(directory, 'cgroup.procs'), 'latin1').split('\n')) {
          if (pid !== '') found.add(Number(pid));
        }
        for (const entry of readdirSync(directory, { withFileTypes: true })) {
          if (entry.isDirectory()) below.push(path.join(directory, entry.name));
        }
      }
      level = below;
    }
    return found;
  }

  /** Whether everything in it stands still. */
  get frozen(): boolean {
    return /^frozen 1$/m.test(readFileSync(path.join(this.#directory, 'cgroup.events'), 'latin1'));
  }

  /** Stops everything in it. Throws DK_IO, with everything running again, when that takes longer than `waitMs`. */
  async freeze(waitMs: number, clock: Clock): Promise<void> {
    const startMs = clock.steadyMs();
    writeFileSync(this.freezeFile, '1');
    for (let look = 1; !this.frozen; look += 1) {
      if (clock.steadyMs() - startMs > waitMs) {
        this.thaw();
        throw new DiffKeeperError('DK_IO', `the application did not stop within ${waitMs} ms: no freeze point taken`);
      }
      if (look <= QUICK_LOOKS) await nextTurn();
      else await sleep(1);
    }
  }

  thaw(): void {
    writeFileSync(this.freezeFile, '0');
  }

  /** Removes it, unless a process is left in it. */
  remove(): void {
    try {
      rmdirSync(this.#directory);
    } catch {
      // Somebody is left: the next run removes it.
    }
  }
}
