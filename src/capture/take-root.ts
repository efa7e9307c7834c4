/** The state directory itself: an entry with an empty name. */
import { VERSION_TYPE } from '../format/format.js';
import type { CaptureWork } from './capture-work.js';
import { changedMsOf, NO_BYTES, rowAt, sameVersion } from './entry-version.js';
import { readBatch, smallVersion } from './small-files.js';

/**
 * Puts mode, owner, group, time and extended attributes of the state directory into the transaction when they differ
 * from the store's. Its time moves with each name made or removed in it, temporary ones as well: that alone is no
 * reason for a checkpoint, so it is taken along with other changes only; and so is what was never kept before.
 */
export async function takeRoot(work: CaptureWork, full: boolean): Promise<void> {
  const changes = work.written.length > 0;
  if (!full && !changes) return;
  const batch = await readBatch(work, ['']);
  // It went away, or may not be read any more: the scan of the next capture says so.
  if (batch.status[0] !== 0) return;
  const row = rowAt(batch.rows, 0);
  work.rootChangedMs = changedMsOf(row);
  const [head] = await work.store.heads(['']);
  if (!changes && head === undefined) return;
  const xattrs = batch.xattrs.length === 0 ? NO_BYTES : batch.xattrs;
  const read = { path: '', row, bytes: NO_BYTES, xattrs, digest: batch.digests };
  const taken = smallVersion(read, VERSION_TYPE.directory, NO_BYTES);
  const same = sameVersion(head, !changes && head ? { ...taken, mtimeNs: head.mtimeNs } : taken);
  if (!same) work.tx.put(taken);
}
