/** Small lane: whole files, symbolic links and directories, read and compared in batches. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type BytePath, LIMITS } from '../core/core.js';
import { ENTRY, type FileBatch } from '../engine/engine.js';
import { type Digest, type Recipe, VERSION_TYPE, type Version, type VersionType } from '../format/format.js';
import type { BlobContext, BlobInput } from '../store/store.js';
import type { CaptureWork } from './capture-work.js';
import {
  EMPTY_RECIPE,
  type Entry,
  NO_BYTES,
  rowAt,
  rowType,
  sameContent,
  sameVersion,
  versionOf,
} from './entry-version.js';
import { reasonOf, UNSETTLED } from './skip-reason.js';

/** Readings of a file that changes under our hands, before it is left for the next capture. */
const ATTEMPTS = 3;
/** The same when the capture may not wait any longer. */
const ATTEMPTS_UNSETTLED = 20;

/** An entry with what was read of it. */
export interface ReadEntry extends Entry {
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly xattrs: Buffer;
}

interface Change {
  readonly entry: ReadEntry;
  readonly version: Version;
  readonly head: Version | undefined;
}

/** Takes the entries; returns those that turned out to be large files. */
export function takeSmallEntries(work: CaptureWork, entries: readonly Entry[]): Promise<Entry[]> {
  return readSmallEntries(work, entries, (read) => takeReadEntries(work, read));
}

/** Reads the entries and hands them over in batches; returns those that turned out to be large files. */
export async function readSmallEntries(
  work: CaptureWork,
  entries: readonly Entry[],
  take: (read: readonly ReadEntry[]) => Promise<void>,
): Promise<Entry[]> {
  const large: Entry[] = [];
  let pending = entries.map((entry) => entry.path);
  const attempts = work.takeUnsettled ? ATTEMPTS_UNSETTLED : ATTEMPTS;
  for (let attempt = 1; pending.length > 0 && attempt <= attempts; attempt += 1) {
    if (attempt > 1) await sleep(attempt);
    pending = await readAll(work, pending, { large, take });
  }
  for (const path of pending) work.skip(path, UNSETTLED, true);
  return large;
}

/** As many of these entries as fit, with what belongs to each. */
export function readBatch({ engine, root, store }: CaptureWork, paths: readonly BytePath[]): Promise<FileBatch> {
  return engine.readFiles({
    root,
    paths,
    fileBytesMax: LIMITS.smallFileBytes,
    totalBytesMax: LIMITS.batchBytes,
    algo: store.hashAlgo,
  });
}

/** One pass over the paths; returns the torn ones. */
async function readAll(
  work: CaptureWork,
  paths: readonly BytePath[],
  out: { readonly large: Entry[]; readonly take: (read: readonly ReadEntry[]) => Promise<void> },
): Promise<BytePath[]> {
  const torn: BytePath[] = [];
  for (let first = 0; first < paths.length; ) {
    work.checkAborted();
    const asked = paths.slice(first, first + LIMITS.batchFiles);
    const batch = await readBatch(work, asked);
    await out.take(sortBatch(work, asked, batch, { torn, large: out.large }));
    first += Math.max(1, batch.done);
  }
  return torn;
}

/** Splits a batch into what was read and what was not. */
function sortBatch(
  work: CaptureWork,
  paths: readonly BytePath[],
  batch: FileBatch,
  out: { readonly torn: BytePath[]; readonly large: Entry[] },
): ReadEntry[] {
  const read: ReadEntry[] = [];
  let dataAt = 0;
  let xattrsAt = 0;
  for (let i = 0; i < batch.done; i += 1) {
    const path = paths[i] ?? '';
    const length = batch.lengths[i] ?? 0;
    const xattrBytes = batch.xattrLengths[i] ?? 0;
    const row = rowAt(batch.rows, i);
    const bytes = batch.data.subarray(dataAt, dataAt + length);
    const xattrs = xattrBytes === 0 ? NO_BYTES : batch.xattrs.subarray(xattrsAt, xattrsAt + xattrBytes);
    dataAt += length;
    xattrsAt += xattrBytes;
    const status = batch.status[i] ?? 0;
    if (status === 1) out.torn.push(path);
    else if (status === 2) out.large.push({ path, row });
    else if (status < 0) {
      work.skip(path, reasonOf(status));
    } else {
      read.push({
        path,
        row,
        bytes,
        xattrs,
        digest: batch.digests.subarray(i * 32, i * 32 + 32),
      });
    }
  }
  return read;
}

function contentVersion(entry: ReadEntry): Version | undefined {
  const { bytes } = entry;
  switch (rowType(entry.row)) {
    case ENTRY.file:
      return smallVersion(entry, VERSION_TYPE.file, NO_BYTES);
    case ENTRY.symlink:
      return smallVersion(entry, VERSION_TYPE.symlink, Buffer.from(bytes));
    case ENTRY.directory:
      return smallVersion(entry, VERSION_TYPE.directory, NO_BYTES);
    default:
      return undefined;
  }
}

/** Written out, because a spread object takes a kilobyte. */
export function smallVersion(entry: ReadEntry, type: VersionType, linkText: Buffer): Version {
  const directory = type === VERSION_TYPE.directory;
  return versionOf(entry, {
    type,
    size: directory ? 0 : entry.bytes.length,
    digest: directory ? null : entry.digest,
    linkText,
    xattrs: entry.xattrs,
    sparse: false,
    recipe: EMPTY_RECIPE,
  });
}

/** Puts versions of what was read into the transaction, where it differs from the store. */
export async function takeReadEntries(work: CaptureWork, entries: readonly ReadEntry[]): Promise<void> {
  if (entries.length === 0) return;
  const paths = entries.map((entry) => entry.path);
  const heads = await work.store.heads(paths);
  const lost = await work.store.lostHeads(paths);
  let group: Change[] = [];
  let groupBytes = 0;
  for (const [i, entry] of entries.entries()) {
    const version = contentVersion(entry);
    const head = heads[i];
    // What cannot be read back is no ground to build on.
    const known = lost.has(entry.path) ? undefined : head;
    // Became a special file between scan and reading: the next scan says so.
    if (!version) work.skip(entry.path, null);
    else if (sameVersion(known, version)) work.settle(entry, version.size);
    else if (known && sameContent(known, version)) work.write(entry, { ...version, recipe: known.recipe }, head);
    else if (version.type !== VERSION_TYPE.file || version.size === 0) work.write(entry, version, head);
    else {
      const bytes = version.size + (head?.size ?? 0);
      if (groupBytes + bytes > 2 * LIMITS.batchBytes && group.length > 0) {
        await storeGroup(work, group);
        group = [];
        groupBytes = 0;
      }
      group.push({ entry, version, head });
      groupBytes += bytes;
    }
  }
  if (group.length > 0) await storeGroup(work, group);
}

async function storeGroup(work: CaptureWork, group: readonly Change[]): Promise<void> {
  const contexts = await gatherContexts(work, group);
  const inputs = group.map((change, i): BlobInput => {
    const context = contexts[i];
    return {
      bytes: change.entry.bytes,
      digest: change.entry.digest,
      kind: 'blob',
      similar: work.deltas,
      ...(context && { context }),
      ...(work.tries !== undefined && { tries: work.tries }),
    };
  });
  await work.tx.storeBlobs(inputs);
  const recipe: Recipe = { kind: 'whole' };
  for (const { entry, version, head } of group) work.write(entry, { ...version, recipe }, head);
}

/** The older bytes of each changed file, where there are some of a useful size. */
async function gatherContexts(work: CaptureWork, group: readonly Change[]): Promise<(BlobContext | undefined)[]> {
  const wholes: { readonly at: number; readonly digest: Digest }[] = [];
  const contexts: (BlobContext | undefined)[] = group.map(() => undefined);
  if (!work.deltas) return contexts;
  for (const [at, { head, version }] of group.entries()) {
    if (head?.type !== VERSION_TYPE.file || head.size < 1 || head.size > LIMITS.blobBytes) continue;
    if (head.recipe.kind === 'whole' && head.digest) wholes.push({ at, digest: head.digest });
    else contexts[at] = await ropeContext(work, head, version);
  }
  if (wholes.length === 0) return contexts;
  const blobs = await work.store.readBlobs(wholes.map((whole) => whole.digest));
  for (const [i, { at, digest }] of wholes.entries()) {
    const bytes = blobs[i];
    // A damaged blob is `verify`'s business: here it only means that the new bytes are stored on their own.
    if (!Buffer.isBuffer(bytes)) continue;
    const aligned = work.preferXor && group[at]?.version.size === bytes.length;
    contexts[at] = { bytes, extents: [{ digest, offset: 0, length: bytes.length }], aligned };
  }
  return contexts;
}

/** Context from a source kept as extents (a large file that shrank). */
async function ropeContext(work: CaptureWork, head: Version, version: Version): Promise<BlobContext | undefined> {
  try {
    const reader = work.store.reader(head);
    const extents = await reader.extents(0, head.size);
    if (extents.length === 0 || extents.some((extent) => extent.digest === null)) return undefined;
    const aligned = work.preferXor && version.size === head.size;
    return { bytes: await reader.read(0, head.size), extents, aligned };
  } catch {
    return undefined;
  }
}
