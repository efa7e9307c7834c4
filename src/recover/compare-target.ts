/** Finds entries of the target that are right already, by content digest, never by time alone. */
import { LIMITS } from '../core/core.js';
import { VERSION_TYPE, type Version } from '../format/format.js';
import { attributesEqual } from './attribute-rows.js';
import { isSmall } from './place-small.js';
import type { RecoverJob } from './recover-job.js';

/** Changed bytes handed over per step while a large file is compared; they are dropped at once. */
const STEP_BYTES = 8 << 20;

/** Splits entries into those that are right and those that have to be written. */
export async function findRight(job: RecoverJob, versions: readonly Version[]): Promise<Set<Version>> {
  const right = new Set<Version>();
  const small: Version[] = [];
  for (const version of versions) {
    const row = job.target.listing?.get(version.path);
    if (row === undefined || !attributesEqual(row, version, job.rules)) continue;
    if (isSmall(version)) small.push(version);
    else if (await largeIsRight(job, version)) right.add(version);
  }
  for (let first = 0; first < small.length; ) {
    job.check();
    first += await compareBatch(job, small.slice(first, first + LIMITS.batchFiles), right);
  }
  return right;
}

/** Compares as many as one crossing takes; returns how many that were. */
async function compareBatch(job: RecoverJob, versions: readonly Version[], right: Set<Version>): Promise<number> {
  const batch = await job.engine.readFiles({
    root: job.root,
    paths: versions.map((version) => version.path),
    fileBytesMax: LIMITS.blobBytes,
    totalBytesMax: LIMITS.batchBytes,
    algo: job.store.hashAlgo,
  });
  const done = Math.max(1, Math.min(batch.done, versions.length));
  let xattrAt = 0;
  for (let index = 0; index < done; index += 1) {
    const version = versions[index] as Version;
    const xattrs = batch.xattrs.subarray(xattrAt, xattrAt + (batch.xattrLengths[index] ?? 0));
    xattrAt += xattrs.length;
    if (batch.status[index] !== 0 || batch.lengths[index] !== version.size) continue;
    const digest = batch.digests.subarray(index * 32, index * 32 + 32);
    const same = version.type === VERSION_TYPE.directory || version.digest?.equals(digest) === true;
    if (same && sameXattrs(job, version, xattrs)) right.add(version);
  }
  return done;
}

async function largeIsRight(job: RecoverJob, version: Version): Promise<boolean> {
  const nothing = new Uint8Array(0);
  const options = {
    root: job.root,
    path: version.path,
    algo: job.store.hashAlgo,
    seed: job.store.seed,
  };
  try {
    const scan = await job.engine.openFileScan({
      ...options,
      pages: nothing,
      groups: nothing,
      sourceBytes: 0,
    });
    try {
      for (let done = false; !done; ) {
        job.check();
        done = (await scan.next(STEP_BYTES)).done;
      }
      const result = await scan.finish();
      return !result.torn && version.digest?.equals(result.digest) === true && sameXattrs(job, version, result.xattrs);
    } finally {
      await scan.close();
    }
  } catch (error) {
    job.check();
    job.logger.debug({ error: String(error) }, 'an existing file could not be compared and is written again');
    return false;
  }
}

/** Only what can be read back can be compared: not of symbolic links, and not by the twin, which knows no attributes. */
function sameXattrs(job: RecoverJob, version: Version, found: Uint8Array): boolean {
  if (version.type === VERSION_TYPE.symlink || job.engine.info.kind === 'typescript') return true;
  return version.xattrs.equals(found);
}
