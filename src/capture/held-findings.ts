/**
 * What a freeze point found, taken while the application stands still and worked up when it runs again. Small files are copied
 * to memory as they are, of large ones what their page tables do not know; coding and storing would take ten times as
 * long. What does not fit is worked up at once; very large files are cloned where the file system shares blocks.
 */
import { type BytePath, LIMITS } from '../core/core.js';
import type { FileScan } from '../engine/engine.js';
import type { AheadCandidate } from './ahead-work.js';
import type { CaptureWork } from './capture-work.js';
import { type Entry, rowSize, sameRow } from './entry-version.js';
import { copyChanged } from './held-copies.js';
import { HeldScan } from './held-scan.js';
import { HOLD_BYTES, type HoldMemory } from './hold-memory.js';
import { type OpenedLarge, openLarge, takeLargeEntry } from './large-files.js';
import type { MappedAhead } from './mapped-ahead.js';
import { type ReadEntry, readSmallEntries, takeReadEntries, takeSmallEntries } from './small-files.js';
import type { ScanFindings } from './state-scan.js';
import { sortFindings, takeLeaves } from './take-findings.js';

/** Readings of a file that changes although the application stands still: somebody else writes to it. */
const ATTEMPTS = 3;
/**
 * A clone writes out what is dirty and shares extent by extent: after 12,800 scattered writes of 4 KiB it took 0.6 to 1.2 s on
 * btrfs, in which 1 GiB is read and compared. Only larger files are cloned.
 */
const CLONE_BYTES_MIN = 1 << 30;
/** Large files opened side by side; what is in memory of a file keeps it open no longer. */
const SIDE_BY_SIDE = LIMITS.openScans / 4;
/** Clones that are open until the freeze point is over: reading them instead would take seconds. */
const CLONES_MAX = LIMITS.openClones;

export interface HeldFindings {
  readonly small: readonly ReadEntry[];
  readonly large: readonly { readonly entry: Entry; readonly opened: OpenedLarge }[];
  readonly special: readonly Entry[];
  readonly removed: ReadonlySet<BytePath>;
  readonly tooLong: ReadonlySet<BytePath>;
}

/** What goes into a freeze point besides its findings. */
export interface HoldParts {
  /** What was read before. */
  readonly candidates: ReadonlyMap<BytePath, AheadCandidate>;
  readonly memory: HoldMemory;
  readonly mapped: MappedAhead;
  /** Gets every scan that is opened: who gives up before they are worked up closes them. */
  readonly scans: FileScan[];
}

/** Reads what was found. After it nothing in the state directory is asked for any more. */
export async function holdFindings(
  work: CaptureWork,
  findings: ScanFindings,
  { candidates, memory, mapped, scans }: HoldParts,
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
  let clones = CLONES_MAX;
  // Smallest first: most of them fit.
  large.sort((one, other) => rowSize(one.row) - rowSize(other.row));
  for (let first = 0; first < large.length; first += SIDE_BY_SIDE) {
    const group = await openAll(work, { mapped, scans }, large.slice(first, first + SIDE_BY_SIDE));
    const sized = group.map(({ entry, opened }) => ({ opened, size: rowSize(entry.row) }));
    const copied = await copyChanged(sized, { room, memory, compares: work.store.hashAlgo !== 'sha256' });
    for (const bytes of copied) room -= bytes ?? 0;
    for (const [i, one] of group.entries()) {
      const { entry } = one;
      if (copied[i] !== undefined) {
        held.push(one);
        continue;
      }
      const opened = await reopen(work, one, scans);
      const taken = opened && (await holdLarge(work, { entry, opened, room, clones, scans }));
      if (!taken) continue;
      room -= taken.heldBytes;
      if (taken.cloned) clones -= 1;
      if (taken.complete) held.push({ entry, opened: taken.opened });
      else await takeLargeEntry(work, entry, taken.opened);
    }
  }
  const { removed, tooLong } = findings;
  return { small, large: held, special: sorted.special, removed, tooLong };
}

/** As `Promise.all`, but none is left running when one fails: it would go on opening files, or writing to memory. */
async function everyOne<T>(tasks: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(tasks);
  return Promise.all(tasks);
}

interface OpenedEntry {
  readonly entry: Entry;
  readonly opened: OpenedLarge;
}

/** Opens these at once: each asks the index and the kernel, one after the other. In order, without those that cannot be opened. */
async function openAll(
  work: CaptureWork,
  { mapped, scans }: Pick<HoldParts, 'mapped' | 'scans'>,
  entries: readonly Entry[],
): Promise<OpenedEntry[]> {
  const all = await everyOne(
    entries.map(async (entry) => {
      const opened = mapped.take(entry) ?? (await openLarge(work, entry));
      if ('scan' in opened) scans.push(opened.scan);
      return { entry, opened };
    }),
  );
  return all.flatMap(({ entry, opened }) => {
    if (!('skip' in opened)) return [{ entry, opened }];
    work.skip(entry.path, opened.skip);
    return [];
  });
}

/** The file as it is now: what was opened before the freeze point knows it as it was then. Undefined when it is gone. */
async function reopen(work: CaptureWork, one: OpenedEntry, scans: FileScan[]): Promise<OpenedLarge | undefined> {
  return sameRow(one.opened.scan.row, one.entry.row) ? one.opened : openAnew(work, one.entry, one.opened.scan, scans);
}

async function openAnew(
  work: CaptureWork,
  entry: Entry,
  scan: FileScan,
  scans: FileScan[],
): Promise<OpenedLarge | undefined> {
  await scan.close();
  const again = await openLarge(work, entry);
  if ('skip' in again) {
    work.skip(entry.path, again.skip);
    return undefined;
  }
  scans.push(again.scan);
  return again;
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

interface HeldLarge {
  readonly opened: OpenedLarge;
  /** Nothing more is asked of the file. */
  readonly complete: boolean;
  readonly cloned: boolean;
  readonly heldBytes: number;
}

/** Takes one large file that was not copied whole; undefined when it cannot be opened a second time. */
async function holdLarge(
  work: CaptureWork,
  from: OpenedEntry & { readonly room: number; readonly clones: number; readonly scans: FileScan[] },
): Promise<HeldLarge | undefined> {
  const { entry, room, clones, scans } = from;
  let { opened } = from;
  const { scan } = opened;
  const size = rowSize(scan.row);
  if (clones > 0 && size >= CLONE_BYTES_MIN && (await scan.clone(work.store.path))) {
    return { opened, complete: true, cloned: true, heldBytes: 0 };
  }
  for (let attempt = 1; ; attempt += 1) {
    const held = await HeldScan.record(opened.scan, room);
    const { complete, heldBytes } = held;
    if (!held.torn || attempt === ATTEMPTS) {
      return { opened: { ...opened, scan: held }, complete, cloned: false, heldBytes };
    }
    const again = await openAnew(work, entry, held, scans);
    if (!again) return undefined;
    opened = again;
  }
}
