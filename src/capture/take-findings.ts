/** Sends each finding of a scan down its lane. */
import { type BytePath, LIMITS } from '../core/core.js';
import { ENTRY } from '../engine/engine.js';
import type { Version } from '../format/format.js';
import type { Store } from '../store/store.js';
import type { CaptureWork } from './capture-work.js';
import { type Entry, rowSize, rowType } from './entry-version.js';
import { takeLargeEntry } from './large-files.js';
import { reasonOfEntry, TOO_LONG } from './skip-reason.js';
import { takeSmallEntries } from './small-files.js';
import type { ScanFindings } from './state-scan.js';

/** Findings by the lane that takes them. */
export interface SortedFindings {
  readonly small: Entry[];
  readonly large: Entry[];
  readonly special: Entry[];
}

/** Sorts what was found; what cannot even be looked at is skipped. */
export function sortFindings(work: CaptureWork, findings: ScanFindings): SortedFindings {
  const sorted: SortedFindings = { small: [], large: [], special: [] };
  for (const [path, row] of findings.found) {
    const type = rowType(row);
    if (type < 0) work.skip(path, reasonOfEntry(path, type));
    else if (type === ENTRY.special) sorted.special.push({ path, row });
    else if (type === ENTRY.file && rowSize(row) > LIMITS.smallFileBytes) sorted.large.push({ path, row });
    else sorted.small.push({ path, row });
  }
  return sorted;
}

/** Puts a version or a removal into the transaction for everything that differs from the store. */
export async function takeFindings(work: CaptureWork, findings: ScanFindings): Promise<void> {
  const { small, large, special } = sortFindings(work, findings);
  for (const entry of await takeSmallEntries(work, small)) large.push(entry);
  for (const entry of large) await takeLargeEntry(work, entry);
  await takeLeaves(work, { ...findings, special });
}

/** What needs no reading. */
interface Leaves {
  readonly special: readonly Entry[];
  readonly removed: ReadonlySet<BytePath>;
  readonly tooLong: ReadonlySet<BytePath>;
}

/** Takes what needs no reading: special files and paths that are too long, which are never kept, and removals. */
export async function takeLeaves(work: CaptureWork, leaves: Leaves): Promise<void> {
  for (const path of leaves.tooLong) work.leaveOut(path, TOO_LONG);
  for await (const [entry, head] of withHeads(work.store, leaves.special)) {
    work.exclude(entry, head, 'it is a socket, FIFO or device');
  }
  const removed = [...leaves.removed].map((path) => ({ path }));
  for await (const [{ path }, head] of withHeads(work.store, removed)) work.erase(path, head);
}

/** Heads in batches, so that a million removals need no million promises. */
async function* withHeads<T extends { readonly path: BytePath }>(
  store: Store,
  items: readonly T[],
): AsyncGenerator<readonly [T, Version | undefined]> {
  for (let first = 0; first < items.length; first += LIMITS.batchFiles) {
    const part = items.slice(first, first + LIMITS.batchFiles);
    const heads = await store.heads(part.map((item) => item.path));
    for (const [i, item] of part.entries()) yield [item, heads[i]];
  }
}
