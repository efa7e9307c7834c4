/**
 * Directories come twice: before the files, writable for us, and at the very end
 * with their own attributes, because each entry placed inside moves the mtime.
 */
import { chmod, chown, lutimes } from 'node:fs/promises';
import { type BytePath, LIMITS, pathParent } from '../core/core.js';
import { STAT, STAT_COLUMNS } from '../engine/engine.js';
import type { Version } from '../format/format.js';
import { attributesEqual, fillRow, isDirectoryRow, wantedMode } from './attribute-rows.js';
import type { RecoverJob } from './recover-job.js';

const WRITABLE = 0o700;

/** Directories of the checkpoint that still have to be made writable before something is placed below them. */
export class ClosedDirectories {
  readonly #job: RecoverJob;
  readonly #closed = new Map<BytePath, Version>();

  constructor(job: RecoverJob) {
    this.#job = job;
  }

  /** Makes directories that are missing; notes those that are there but not writable for us. */
  async make(versions: readonly Version[]): Promise<void> {
    const missing: Version[] = [];
    for (const version of versions) {
      if (version.path === '') continue;
      const row = this.#job.target.listing?.get(version.path);
      if (row === undefined || !isDirectoryRow(row)) missing.push(version);
      else if ((Number(row[STAT.mode]) & WRITABLE) !== WRITABLE) this.#closed.set(version.path, version);
    }
    await this.openAbove(missing);
    for (const version of await place(this.#job, missing, WRITABLE)) {
      this.#job.touch(version.path);
      this.#job.touched.add(version.path);
    }
  }

  /** Makes what lies above these entries writable, top down. Nothing to do is the rule, and cheap. */
  async openAbove(versions: readonly Version[]): Promise<void> {
    if (this.#closed.size === 0) return;
    const wanted = new Map<BytePath, Version>();
    for (const version of versions) {
      for (let up = pathParent(version.path); up !== ''; up = pathParent(up)) {
        const closed = this.#closed.get(up);
        if (closed) wanted.set(up, closed);
      }
    }
    // One by one and by length: a parent is shorter than what lies in it, and must be open first.
    for (const path of [...wanted.keys()].sort((one, other) => one.length - other.length)) {
      this.#closed.delete(path);
      this.#job.touched.add(path);
      await place(this.#job, [wanted.get(path) as Version], WRITABLE);
    }
  }
}

/** Gives directories their own attributes, deepest first: a parent may be closed to us afterwards. */
export async function closeDirectories(job: RecoverJob, versions: readonly Version[]): Promise<void> {
  const levels = new Map<number, Version[]>();
  for (const version of versions) {
    if (job.damage.has(version.path) || isRight(job, version)) continue;
    const depth = version.path === '' ? 0 : version.path.split('/').length;
    const level = levels.get(depth) ?? [];
    level.push(version);
    levels.set(depth, level);
  }
  for (const depth of [...levels.keys()].sort((one, other) => other - one)) {
    const level = levels.get(depth) ?? [];
    if (depth > 0) await place(job, level, 0);
    else for (const version of level) await closeRoot(job, version);
  }
}

/** Whether nothing changed inside and the attributes found at the start were right. */
function isRight(job: RecoverJob, version: Version): boolean {
  // The scan does not tell extended attributes, so a directory with some is always set again.
  if (job.touched.has(version.path) || version.xattrs.length > 0) return false;
  const row = job.target.listing?.get(version.path);
  return row !== undefined && attributesEqual(row, version, job.rules);
}

async function place(job: RecoverJob, versions: readonly Version[], extraMode: number): Promise<Version[]> {
  const placed: Version[] = [];
  for (let first = 0; first < versions.length; first += LIMITS.batchFiles) {
    job.check();
    const part = versions.slice(first, first + LIMITS.batchFiles);
    const rows = new BigInt64Array(part.length * STAT_COLUMNS);
    for (const [index, version] of part.entries()) fillRow(rows, index, version, { owner: job.owner, extraMode });
    const status = await job.engine.placeFiles({
      root: job.root,
      paths: part.map((version) => version.path),
      rows,
      lengths: new Uint32Array(part.length),
      data: new Uint8Array(0),
      xattrLengths: Uint32Array.from(part, (version) => version.xattrs.length),
      xattrs: Buffer.concat(part.map((version) => version.xattrs)),
      owner: job.owner,
    });
    for (const [index, version] of part.entries()) {
      const code = status[index] ?? 0;
      if (code === 0) placed.push(version);
      else job.failStatus(version.path, code);
    }
  }
  return placed;
}

/** The state directory itself may be a mount point of another owner: trouble is logged, not fatal. */
async function closeRoot(job: RecoverJob, version: Version): Promise<void> {
  try {
    if (job.owner) await chown(job.root, version.uid, version.gid);
    await chmod(job.root, wantedMode(version, job.owner));
    const seconds = Number(version.mtimeNs) / 1e9;
    await lutimes(job.root, seconds, seconds);
  } catch (error) {
    job.logger.warn({ error: String(error) }, 'attributes of the state directory could not be set');
  }
}
