/**
 * A control group of our own around the application, where the system lets us make one (cgroup v2): it stops every
 * process in it with one write, unseen by the application, and nobody can leave it by forking.
 */
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmdirSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import * as path from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type Clock, DiffKeeperError, systemCode } from '../core/core.js';
import { leaderOf } from './proc.js';

/** Followed by the owner's process id, when that was started (clock ticks since boot), whose ids it is one of, and a random part. */
const PREFIX = 'diffkeeper-';
const FREEZE_FILE = 'cgroup.freeze';
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

/** The namespace that our process ids are of: what somebody in another one is called says nothing here. */
const namespaceOfIds = (): string => /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';

/** Whether the process that a group is named after still runs. */
function ownerLives(pid: number, startTicks: string | undefined): boolean {
  const found = leaderOf(pid).startTicks;
  return found !== 0 && (startTicks === undefined || found === Number(startTicks));
}

/**
 * Groups of earlier runs that were killed: whoever stands still in one goes on, since nobody else is left to see to that,
 * and the empty ones go. One whose owner runs stays, although it may be empty: it has just been made.
 */
function endLeftovers(directory: string): void {
  const ours = namespaceOfIds();
  for (const name of readdirSync(directory)) {
    const [, owner, startTicks, namespace = ours] = /^diffkeeper-(\d+)(?:-(\d+)-(?:(\d+)-)?|$)/.exec(name) ?? [];
    if (owner === undefined || namespace !== ours || ownerLives(Number(owner), startTicks)) continue;
    const leftover = path.join(directory, name);
    for (const end of [() => writeFileSync(path.join(leftover, FREEZE_FILE), '0'), () => rmdirSync(leftover)]) {
      try {
        end();
      } catch {
        // It is in use, or gone.
      }
    }
  }
}

/** Open for as long as the group is: whoever stands still has to be let go when there are no descriptors left, too. */
interface OpenFiles {
  readonly freeze: number;
  readonly events: number;
  readonly enter: number;
  readonly leave: number;
}

function openFiles(above: string, directory: string): OpenFiles {
  const opened: number[] = [];
  const open = (where: string, name: string, flags: string): number => {
    const file = openSync(path.join(where, name), flags);
    opened.push(file);
    return file;
  };
  try {
    return {
      freeze: open(directory, FREEZE_FILE, 'r+'),
      events: open(directory, 'cgroup.events', 'r'),
      // Both are needed: to put the application in, and to come back.
      enter: open(directory, 'cgroup.procs', 'r+'),
      leave: open(above, 'cgroup.procs', 'r+'),
    };
  } catch (error) {
    opened.forEach(closeSync);
    throw error;
  }
}

export class FreezeGroup {
  readonly #directory: string;
  readonly #files: OpenFiles;

  private constructor(directory: string, files: OpenFiles) {
    this.#directory = directory;
    this.#files = files;
  }

  /** Makes the group; undefined where that is not possible, which is no error. */
  static make(): FreezeGroup | undefined {
    let directory: string | undefined;
    try {
      const above = ownDirectory();
      if (above === undefined) return undefined;
      endLeftovers(above);
      const owner = `${process.pid}-${leaderOf(process.pid).startTicks}-${namespaceOfIds()}`;
      directory = mkdtempSync(path.join(above, `${PREFIX}${owner}-`));
      return new FreezeGroup(directory, openFiles(above, directory));
    } catch {
      if (directory !== undefined) rmdirSync(directory);
      return undefined;
    }
  }

  /** Whoever stands still in a group of an earlier run that was killed goes on. Never throws. */
  static thawLeftovers(): void {
    try {
      const above = ownDirectory();
      if (above !== undefined) endLeftovers(above);
    } catch {
      // No control groups, or none that we may look at.
    }
  }

  /** File that freezes (`1`) and thaws (`0`). */
  get freezeFile(): string {
    return path.join(this.#directory, FREEZE_FILE);
  }

  /** Starts something whose process is born in the group: we go in, and come out again. */
  startInside<T>(start: () => T): T {
    writeSync(this.#files.enter, String(process.pid));
    try {
      return start();
    } finally {
      writeSync(this.#files.leave, String(process.pid));
    }
  }

  /** Processes in the group and in those that the application made below it. */
  members(): Set<number> {
    const found = new Set<number>();
    for (let level = [this.#directory]; level.length > 0; ) {
      const below: string[] = [];
      for (const directory of level) {
        try {
          for (const pid of readFileSync(path.join(directory, 'cgroup.procs'), 'latin1').split('\n')) {
            if (pid !== '') found.add(Number(pid));
          }
          for (const entry of readdirSync(directory, { withFileTypes: true })) {
            if (entry.isDirectory()) below.push(path.join(directory, entry.name));
          }
        } catch (error) {
          // The application has removed it meanwhile (ENODEV: while it was being read); only empty ones can be.
          const gone = /^(ENOENT|ENODEV)$/.test(systemCode(error));
          if (!gone || directory === this.#directory) throw error;
        }
      }
      level = below;
    }
    return found;
  }

  /** Whether everything in it stands still. */
  get frozen(): boolean {
    const text = Buffer.alloc(256);
    return /^frozen 1$/m.test(text.toString('latin1', 0, readSync(this.#files.events, text, 0, text.length, 0)));
  }

  /** Stops everything in it. Throws DK_IO, with everything running again, when that takes longer than `waitMs`. */
  async freeze(waitMs: number, clock: Clock): Promise<void> {
    const startMs = clock.steadyMs();
    writeSync(this.#files.freeze, '1');
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
    writeSync(this.#files.freeze, '0');
  }

  /** Removes it, unless a process is left in it; it cannot be used any more. */
  remove(): void {
    Object.values(this.#files).forEach(closeSync);
    try {
      rmdirSync(this.#directory);
    } catch {
      // Somebody is left: the next run removes it.
    }
  }
}
