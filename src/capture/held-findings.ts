/**
 * What a freeze point found, taken to memory while the application stands still and worked up when it runs again:
 * reading costs memory bandwidth, coding and storing cost ten times as much. What does not fit is worked up at once.
 */
import { type BytePath, LIMITS } from '../core/core.js';
import type { AheadCandidate } from './ahead-work.js';
import type { CaptureWork } from './capture-work.js';
import { type Entry, rowSize, sameRow } from './entry-version.js';
import { HeldScan } from './held-scan.js';
import { type OpenedLarge, openLarge, takeLargeEntry } from './large-files.js';
import { type ReadEntry, readSmallEntries, takeReadEntries, takeSmallEntries } from './small-files.js';
import type { ScanFindings } from './state-scan.js';
import { sortFindings, takeLeaves } from './take-findings.js';

/** Bytes of changed content held at most. */
const HOLD_BYTES = 64 << 20;
/** Readings of a file that changes although the application stands still: somebody else writes to it. */
const ATTEMPTS = 3;

export interface HeldFindings {
  readonly small: readonly ReadEntry[];
  readonly large: readonly { readonly entry: Entry; readonly opened: OpenedLarge }[];
  readonly special: readonly Entry[];
  readonly removed: ReadonlySet<BytePath>;
}

/** Reads what was found. After it nothing in the state directory is asked for any more. */
export async function holdFindings(
  work: CaptureWork,
  findings: ScanFindings,
  candidates: ReadonlyMap<BytePath, AheadCandidate>,
): Promise<HeldFindings> {
  const sorted = sortFindings(work, findings);
  const unread = (entry: Entry): boolean => !takeCandidate(work, entry, candidates.get(entry.path));
  let room = HOLD_BYTES;
  const fitting: Entry[] = [];
  const rest: Entry[] = [];
  for (const entry of sorted.small.filter(unread)) {
    room -= rowSize(entry.row);
    (room >= 0 ? fitting : rest).push(entry);
  }
  const small: ReadEntry[] = [];
  const large = sorted.large.filter(unread);
  large.push(...(await readSmallEntries(work, fitting, async (read) => void small.push(...read))));
  large.push(...(await takeSmallEntries(work, rest)));
  const held: HeldFindings['large'][number][] = [];
  // Smallest first: most of them fit.
  large.sort((one, other) => rowSize(one.row) - rowSize(other.row));
  for (const entry of large) {
    const opened = await holdLarge(work, entry, room);
    if (!opened) continue;
    room -= opened.scan.heldBytes;
    if (opened.scan.complete) held.push({ entry, opened });
    else await takeLargeEntry(work, entry, opened);
  }
  return { small, large: held, special: sorted.special, removed: findings.removed };
}

/** Puts what is held into the transaction. */
export async function takeHeld(work: CaptureWork, held: HeldFindings): Promise<void> {
  for (let first = 0; first < held.small.length; first += LIMITS.batchFiles) {
    work.checkAborted();
    await takeReadEntries(work, held.small.slice(first, first + LIMITS.batchFiles));
  }
  for (const { entry, opened } of held.large) await takeLargeEntry(work, entry, opened);
  await takeLeaves(work, held);
}

/** What was read before the freeze point and has not moved since needs no second reading. */
function takeCandidate(work: CaptureWork, entry: Entry, candidate: AheadCandidate | undefined): boolean {
  if (!candidate || !sameRow(entry.row, candidate.row)) return false;
  if (candidate.version) work.write(entry, candidate.version, candidate.head);
  else work.settle(entry, rowSize(entry.row));
  return true;
}

async function holdLarge(
  work: CaptureWork,
  entry: Entry,
  room: number,
): Promise<(OpenedLarge & { readonly scan: HeldScan }) | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    const opened = await openLarge(work, entry);
    if ('skip' in opened) {
      work.skip(entry.path, opened.skip);
      return undefined;
    }
    const scan = await HeldScan.record(opened.scan, room);
    if (!scan.torn || attempt === ATTEMPTS) return { ...opened, scan };
    await scan.close();
  }
}
