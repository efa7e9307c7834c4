/** Large lane: one file at a time, against its page table, with bounded memory. */
import { DiffKeeperError, isDiffKeeperError, LIMITS, pathToText } from '../core/core.js';
import { type FileScan, type ScanResult, type ScanStep, type ScanTables, STAT } from '../engine/engine.js';
import { VERSION_TYPE, type Version } from '../format/format.js';
import type { CaptureWork } from './capture-work.js';
import {
  EMPTY_RECIPE,
  type Entry,
  NO_BYTES,
  rowSize,
  rowValue,
  sameContent,
  sameVersion,
  versionOf,
} from './entry-version.js';
import { LargeWriter, TornFileError } from './large-writer.js';
import type { MovedFiles } from './moved-files.js';
import type { PageTable } from './page-tables.js';
import { reasonOfError, type SkipReason, UNSETTLED } from './skip-reason.js';

/** Readings of a file that changes under our hands, before it is left for the next capture. */
const ATTEMPTS = 3;

type Outcome = 'taken' | 'torn' | { readonly skip: SkipReason | null };

/** An open large file: what the store has of it, and the scan that tells what changed. */
export interface OpenedLarge {
  readonly head: Version | undefined;
  /** The head cannot be read back: its recipe is not taken over. */
  readonly isLost: boolean;
  readonly source: Version | undefined;
  readonly table: PageTable | undefined;
  readonly scan: FileScan;
}

/** @param held what was read of it while it stood still: then it is read no second time */
export async function takeLargeEntry(work: CaptureWork, entry: Entry, held?: OpenedLarge): Promise<void> {
  const attempts = held ? 1 : ATTEMPTS;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const opened = held ?? (await openLarge(work, entry));
    const outcome =
      'skip' in opened ? opened : await takeOpened(work, entry, opened, work.takeUnsettled && attempt === attempts);
    if (outcome === 'taken') return;
    if (outcome !== 'torn') {
      work.skip(entry.path, outcome.skip);
      return;
    }
  }
  work.skip(entry.path, UNSETTLED, true);
}

/** Where a large file is, and what is known of it. */
export type LargePlace = Pick<CaptureWork, 'store' | 'engine' | 'root' | 'tables'> & {
  /** Names that files had before; without it only the own name counts. */
  readonly moved?: MovedFiles;
};

/** What the store has of a large file, under this name or the one before. */
async function knownOf({ store, tables, moved }: LargePlace, entry: Entry) {
  // Schema 1 keeps each path apart.
  const before = store.keepsHistory ? moved?.pathBefore(entry) : undefined;
  const [head, older] = await store.heads(before === undefined ? [entry.path] : [entry.path, before]);
  const lost = await store.lostHeads(before === undefined ? [entry.path] : [entry.path, before]);
  const isSource = (version: Version | undefined) =>
    version?.type === VERSION_TYPE.file && version.size > 0 && !lost.has(version.path);
  const source = [older, head].find(isSource);
  return { head, isLost: lost.has(entry.path), source, table: source && (await tables.find(source)) };
}

/**
 * Opens a large file for scanning, or says why it cannot be read. The caller closes the scan.
 *
 * @param open a scan of this very file, to begin anew with
 */
export async function openLarge(
  place: LargePlace,
  entry: Entry,
  open?: FileScan,
): Promise<OpenedLarge | { readonly skip: SkipReason | null }> {
  const known = await knownOf(place, entry).catch(async (error: unknown) => {
    await open?.close().catch(() => {});
    throw error;
  });
  const { head, isLost, source, table } = known;
  try {
    const renewed = await open?.renew(tablesOf(table));
    if (!renewed) await open?.close();
    return { head, isLost, source, table, scan: renewed ?? (await openScan(place, entry, table)) };
  } catch (error) {
    await open?.close().catch(() => {});
    return { skip: reasonOfError(error) };
  }
}

async function takeOpened(work: CaptureWork, entry: Entry, opened: OpenedLarge, acceptTorn: boolean): Promise<Outcome> {
  try {
    return await takeScan(work, { entry, acceptTorn, ...opened });
  } catch (error) {
    if (error instanceof TornFileError) return 'torn';
    throw error;
  } finally {
    await opened.scan.close();
  }
}

function openScan(place: LargePlace, entry: Entry, table: PageTable | undefined): Promise<FileScan> {
  return place.engine.openFileScan({
    root: place.root,
    path: entry.path,
    algo: place.store.hashAlgo,
    seed: place.store.seed,
    ...tablesOf(table),
  });
}

function tablesOf(table: PageTable | undefined): ScanTables {
  return { pages: table?.pages ?? NO_BYTES, groups: table?.groups ?? NO_BYTES, sourceBytes: table?.size ?? 0 };
}

interface LargeCase extends OpenedLarge {
  readonly entry: Entry;
  readonly acceptTorn: boolean;
}

async function takeScan(work: CaptureWork, large: LargeCase): Promise<Outcome> {
  const { source, table, entry } = large;
  const reader = source && work.store.reader(source);
  const writer = new LargeWriter(work, {
    path: entry.path,
    ...(reader && { source: reader }),
    compare: table === undefined,
  });
  try {
    return await takeSteps(work, large, writer);
  } finally {
    await writer.settle();
  }
}

async function takeSteps(work: CaptureWork, large: LargeCase, writer: LargeWriter): Promise<Outcome> {
  const { source, scan } = large;
  for (;;) {
    work.checkAborted();
    const step = await nextStep(scan, work.chunkBytes);
    if ('kind' in step) return { skip: step };
    await writer.take(step);
    if (step.done) break;
  }
  const result = await scan.finish();
  const entry: Entry = { path: large.entry.path, row: result.row };
  // What was handed out is what the file measured when it was opened.
  const size = rowSize(result.torn ? scan.row : result.row);
  if (size > LIMITS.fileBytes)
    return { skip: { kind: 'unreadable', reason: `it is larger than ${LIMITS.fileBytes} bytes` } };
  if (result.torn && !(large.acceptTorn && namesContent(result.digest))) return 'torn';
  const slots = await writer.finish(size);
  const version = largeVersion(
    entry,
    { size, ...result },
    slots.some((slot) => slot.digest === null),
  );
  if (result.torn) work.unsettled.push(pathToText(entry.path));
  work.tables.stage(
    entry.path,
    { digest: result.digest, size, pages: result.pages, groups: result.groups },
    writer.changedBytes,
  );
  const { head } = large;
  const known = large.isLost ? undefined : head;
  if (sameVersion(known, version)) work.settle(entry, size);
  else if (known && sameContent(known, version)) work.write(entry, { ...version, recipe: known.recipe }, head);
  else {
    const recipe = await work.tx.storeRecipe({
      extents: slots,
      size,
      digest: result.digest,
      ...(source && { source }),
    });
    work.write(entry, { ...version, recipe }, head);
  }
  return 'taken';
}

/** The next step, or why the file cannot be read; errors of the engine's own go up. */
async function nextStep(scan: FileScan, chunkBytes: number): Promise<ScanStep | SkipReason> {
  try {
    return await scan.next(chunkBytes);
  } catch (error) {
    if (isDiffKeeperError(error)) throw error;
    const reason = reasonOfError(error);
    if (reason === null) throw new TornFileError('it vanished');
    return reason;
  }
}

function largeVersion(entry: Entry, result: ScanResult & { readonly size: number }, hasZeros: boolean): Version {
  const { size } = result;
  const sparse = hasZeros && Number(rowValue(entry.row, STAT.blocks)) * 512 < size;
  if (result.digest.length !== 32) throw new DiffKeeperError('DK_IO', 'the page scan returned no digest');
  return versionOf(entry, {
    type: VERSION_TYPE.file,
    size,
    digest: result.digest,
    linkText: NO_BYTES,
    xattrs: result.xattrs,
    sparse,
    recipe: EMPTY_RECIPE,
  });
}

/** The scan of a file that was cut while it was read hands out less than the whole and an empty digest. */
function namesContent(digest: Buffer): boolean {
  return digest.some((byte) => byte !== 0);
}
