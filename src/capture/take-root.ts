/** The state directory itself: an entry with an empty name. */
import { LIMITS } from '../core/core.js';
import { VERSION_TYPE } from '../format/format.js';
import type { CaptureWork } from './capture-work.js';
import { EMPTY_RECIPE, NO_BYTES, rowAt, sameVersion, versionOf } from './entry-version.js';

/**
 * Puts mode, owner, group, time and extended attributes of the state directory into the transaction when they differ
 * from the store's. Its time moves with each name made or removed in it, temporary ones as well: that alone is no
 * reason for a checkpoint, so it is taken along with other changes only; and so is what was never kept before.
 */
export async function takeRoot(work: CaptureWork, full: boolean): Promise<void> {
  const changes = work.written.length > 0;
  if (!full && !changes) return;
  const { store, engine, root } = work;
  const batch = await engine.readFiles({
    root,
    paths: [''],
    fileBytesMax: LIMITS.smallFileBytes,
    totalBytesMax: LIMITS.batchBytes,
    algo: store.hashAlgo,
  });
  // It went away, or may not be read any more: the scan of the next capture says so.
  if (batch.status[0] !== 0) return;
  const [head] = await store.heads(['']);
  if (!changes && head === undefined) return;
  const entry = { path: '', row: rowAt(batch.rows, 0) };
  const taken = versionOf(entry, {
    type: VERSION_TYPE.directory,
    size: 0,
    digest: null,
    linkText: NO_BYTES,
    xattrs: batch.xattrs.length === 0 ? NO_BYTES : batch.xattrs,
    sparse: false,
    recipe: EMPTY_RECIPE,
  });
  const same = sameVersion(head, !changes && head ? { ...taken, mtimeNs: head.mtimeNs } : taken);
  if (!same) work.tx.put(taken);
}
