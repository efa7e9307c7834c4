/**
 * Directories come twice: before the files, writable for us, and at the very end
 * with their own attributes, because each entry placed inside moves the mtime.
 */
import { type BytePath, LIMITS, pathParent } from '../core/core.js';
import { STAT, STAT_COLUMNS } from '../engine/engine.js';
import type { Version } from '../format/format.js';
import { fillRow, isDirectoryRow } from './attribute-rows.js';
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
    for (const { path } of missing) {
      this.#job.touch(path);
      this.#job.touched.add(path);
    }
    reportFailures(this.#job, await place(this.#job, missing, WRITABLE));
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
      reportFailures(this.#job, await place(this.#job, [wanted.get(path) as Version], WRITABLE));
    }
  }
}

/**
 * Gives directories their own attributes, deepest first: a parent may be closed to us afterwards. Those in `right`
 * had them at the start and are left alone unless something was placed inside.
 */
export async function closeDirectories(
  job: RecoverJob,
  versions: readonly Version[],
  right: ReadonlySet<Version>,
): Promise<void> {
  const levels = new Map<number, Version[]>();
  for (const version of versions) {
    if (job.damage.has(version.path) || (right.has(version) && !job.touched.has(version.path))) continue;
    const depth = version.path === '' ? 0 : version.path.split('/').length;
    const level = levels.get(depth) ?? [];
    level.push(version);
    levels.set(depth, level);
  }
  for (const depth of [...levels.keys()].sort((one, other) => other - one)) {
    const failures = await place(job, levels.get(depth) ?? [], 0);
    if (depth > 0) reportFailures(job, failures);
    // The state directory itself may be a mount point that belongs to somebody else.
    else if (failures.length > 0) job.logger.warn({}, 'attributes of the state directory could not be set');
  }
}

interface Failure {
  readonly version: Version;
  readonly status: number;
}

function reportFailures(job: RecoverJob, failures: readonly Failure[]): void {
  for (const { version, status } of failures) job.failStatus(version.path, status);
}

async function place(job: RecoverJob, versions: readonly Version[], extraMode: number): Promise<Failure[]> {
  const failures: Failure[] = [];
  for (let first = 0; first < versions.length; first += LIMITS.batchFiles) {
    job.check();
    const part = versions.slice(first, first + LIMITS.batchFiles);
    const rows = new BigInt64Array(part.length * STAT_COLUMNS);
    for (const [index, version] of part.entries()) fillRow(rows, index, version, { owner: job.owner, extraMode });
    const codes = await job.engine.placeFiles({
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
      const status = codes[index] ?? 0;
      if (status !== 0) failures.push({ version, status });
    }
  }
  return failures;
}
