/**
 * A mark on the state directory itself, which is seen from every container and namespace of this machine, and gone with its owner.
 * Needs the addon. It says that somebody keeps the directory; who, is for `/proc` to tell, as far as it shows that process.
 */
import { constants, readdirSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCode } from '../core/core.js';
import { loadProcessCalls } from '../engine/load.js';
import { processIds } from './proc.js';
import { readText } from './proc-text.js';

/** Where the mark is, behind the content of any directory. Never changes: versions that differ would not see each other. */
const MARK_AT = 0x6469_6666_6b65;
/** Two that come at the same moment both see the other one: each goes, and comes again after a while of its own, ms. */
const TRIES = 4;
const WAIT_MS = 40;
/** Descriptors that are looked at to tell who has marked a directory: it is only for the message. */
const LOOKED_AT = 20_000;

/** Which directory it is, whatever its name. */
export interface DirectoryId {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** What came of it. */
export interface StateMark {
  /** Open, and with it marked where that can be had, until it is closed; undefined when nothing came of it. */
  readonly directory?: FileHandle;
  /**
   * `marked`: nobody else has; `taken`: somebody else has; `replaced`: another directory stands there meanwhile; `unknown`: it cannot be
   * marked, and nobody knows of others.
   */
  readonly outcome: 'marked' | 'taken' | 'replaced' | 'unknown';
  /** Why it cannot be marked; undefined without the addon, where none ever is. */
  readonly trouble?: string;
}

/** @param stateDir real path of a directory that was this one */
export async function markStateDir(stateDir: string, id: DirectoryId): Promise<StateMark> {
  const calls = loadProcessCalls();
  for (let time = 1; ; time += 1) {
    let directory: FileHandle | undefined;
    try {
      directory = await openAs(stateDir, id);
    } catch (error) {
      return { outcome: 'unknown', trouble: String(error) };
    }
    if (directory === undefined) return { outcome: 'replaced' };
    const others = calls?.markOpened(directory.fd, MARK_AT);
    if (others === false) return { directory, outcome: 'marked' };
    if (others === undefined) {
      return { directory, outcome: 'unknown', ...(calls && { trouble: 'it cannot be locked, or somebody else has' }) };
    }
    await directory.close();
    if (time === TRIES) return { outcome: 'taken' };
    await sleep(WAIT_MS * (1 + 2 * Math.random()));
  }
}

/** Undefined when something else stands there by now. Closed in each program that is started: nobody who outlives us keeps it open. */
async function openAs(stateDir: string, { dev, ino }: DirectoryId): Promise<FileHandle | undefined> {
  let directory: FileHandle | undefined;
  try {
    directory = await open(stateDir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    const facts = await directory.stat({ bigint: true });
    if (facts.dev === dev && facts.ino === ino) return directory;
    await directory.close();
    return undefined;
  } catch (error) {
    await directory?.close().catch(() => {});
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** Process that has marked this directory; undefined when it cannot be seen from here. */
export function markerOf({ dev, ino }: DirectoryId): number | undefined {
  const mark = new RegExp(`^lock:.* OFDLCK .*:${ino} ${MARK_AT} ${MARK_AT}$`, 'm');
  let looked = 0;
  for (const pid of ifShown(processIds) ?? []) {
    for (const fd of ifShown(() => readdirSync(`/proc/${pid}/fdinfo`)) ?? []) {
      looked += 1;
      if (looked > LOOKED_AT) return undefined;
      if (!ifShown(() => mark.test(readText(`/proc/${pid}/fdinfo/${fd}`)))) continue;
      // The number alone may be that of a directory on another disk.
      const facts = ifShown(() => statSync(`/proc/${pid}/fd/${fd}`, { bigint: true }));
      if (facts?.dev === dev && facts.ino === ino) return pid;
    }
  }
  return undefined;
}

/** Undefined of a process that has ended, or belongs to somebody whom we may not look at: no failure, the message only says less. */
function ifShown<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
