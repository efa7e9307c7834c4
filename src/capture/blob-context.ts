/**
 * Which older bytes new blobs are coded against. Scattered pages of one window form one blob, and a blob is as deep as
 * its deepest piece: left alone, one page with a long history would drag all its neighbours to the depth limit. So
 * pages are kept together by the depth of what they replace, and those at the limit are stored on their own.
 */
import { LIMITS } from '../core/core.js';
import { type Digest, digestKey, type Extent } from '../format/format.js';
import type { BlobContext, Store, VersionReader } from '../store/store.js';

/** An extent whose blob may not be named yet. */
export interface Slot {
  digest: Digest | null;
  offset: number;
  length: number;
}

/** Bytes that become one blob. */
export interface BlobJob {
  /** In one piece, or one piece per range. */
  readonly pieces: readonly Uint8Array[];
  /** Where these bytes lie in the target: pairs (offset, length), ascending. */
  readonly ranges: readonly number[];
  /** Extents that wait for the blob's digest: one, or one per range. */
  readonly slots: readonly Slot[];
}

/** A job and the stored bytes at its place. */
export interface PlacedJob {
  readonly job: BlobJob;
  /** Extents of the source, without the zeros (which are not stored, so nothing can refer to them). */
  readonly extents: readonly Extent[];
  /** Pairs (offset, length) in the source, one per extent. Empty when the job is to be coded without a context. */
  readonly kept: readonly number[];
  /** Every byte of the target has its context at the same position. */
  readonly aligned: boolean;
}

/** More pieces than this would make a record's context list too long and decoding too slow. */
const CONTEXT_EXTENTS_MAX = 2048;

/** A job that is coded without a context. */
export function alone(job: BlobJob): PlacedJob {
  return { job, extents: [], kept: [], aligned: false };
}

/** One range of a job with its place in the source. */
interface Piece {
  readonly range: number;
  readonly extents: readonly Extent[];
  readonly kept: readonly number[];
  readonly aligned: boolean;
}

/** Finds the contexts of these jobs; scattered ones are divided by depth. */
export async function placeJobs(store: Store, source: VersionReader, jobs: readonly BlobJob[]): Promise<PlacedJob[]> {
  const pieces: Piece[][] = [];
  for (const job of jobs) {
    const list: Piece[] = [];
    for (let range = 0; range < job.ranges.length / 2; range += 1) list.push(await findPiece(job, range, source));
    pieces.push(list);
  }
  const depthOf = await depths(store, pieces);
  return jobs.flatMap((job, index) => divide(job, pieces[index] ?? [], depthOf, store.snapshotInterval));
}

async function findPiece(job: BlobJob, range: number, source: VersionReader): Promise<Piece> {
  const extents: Extent[] = [];
  const kept: number[] = [];
  let at = job.ranges[2 * range] ?? 0;
  // What reaches beyond the source comes last in its job: it leaves the bytes before it in their places.
  const length = Math.min(job.ranges[2 * range + 1] ?? 0, source.version.size - at);
  let aligned = true;
  if (length > 0) {
    for (const extent of await source.extents(at, length)) {
      if (extent.digest === null) aligned = false;
      else {
        extents.push(extent);
        kept.push(at, extent.length);
      }
      at += extent.length;
    }
  }
  return { range, extents, kept, aligned };
}

async function depths(store: Store, pieces: readonly (readonly Piece[])[]): Promise<(piece: Piece) => number> {
  const digests = new Map<string, Digest>();
  for (const { extents } of pieces.flat()) {
    for (const { digest } of extents) if (digest) digests.set(digestKey(digest), digest);
  }
  const infos = await store.blobInfos([...digests.values()]);
  const known = new Map([...digests.keys()].map((key, index) => [key, infos[index]?.depth]));
  return ({ extents }) =>
    extents.reduce((deepest, { digest }) => {
      const depth = digest ? known.get(digestKey(digest)) : 0;
      // A blob that is not indexed (damaged, or of this very checkpoint) cannot be built upon.
      return Math.max(deepest, depth ?? Number.POSITIVE_INFINITY);
    }, 0);
}

/** Pieces of one depth class belong together; 0 is what replaces absolute bytes, the last what lies too deep. */
function depthClass(depth: number, depthMax: number): number {
  if (depth === 0) return 0;
  if (depth >= depthMax) return 3;
  return depth * 3 <= depthMax ? 1 : 2;
}

function divide(
  job: BlobJob,
  pieces: readonly Piece[],
  depthOf: (piece: Piece) => number,
  depthMax: number,
): PlacedJob[] {
  const classes: Piece[][] = [[], [], [], []];
  for (const piece of pieces) classes[depthClass(depthOf(piece), depthMax)]?.push(piece);
  const used = classes.filter((list) => list.length > 0);
  if (used.length <= 1 || job.slots.length !== pieces.length) {
    return [classes[3] && classes[3].length > 0 ? alone(job) : place(job, pieces)];
  }
  return classes.flatMap((list, index) => {
    if (list.length === 0) return [];
    const part = pick(job, list);
    return [index === 3 ? alone(part) : place(part, list)];
  });
}

/** The job of these pieces alone; their slots move with them. */
function pick(job: BlobJob, pieces: readonly Piece[]): BlobJob {
  const bytes: Uint8Array[] = [];
  const ranges: number[] = [];
  const slots: Slot[] = [];
  let at = 0;
  for (const { range } of pieces) {
    const slot = job.slots[range];
    const part = job.pieces[range];
    if (!slot || !part) throw new Error('a range has no slot or no bytes');
    bytes.push(part);
    ranges.push(job.ranges[2 * range] ?? 0, part.length);
    slot.offset = at;
    slots.push(slot);
    at += part.length;
  }
  return { pieces: bytes, ranges, slots };
}

function place(job: BlobJob, pieces: readonly Piece[]): PlacedJob {
  const extents = pieces.flatMap((piece) => piece.extents);
  const kept = pieces.flatMap((piece) => piece.kept);
  const keptBytes = extents.reduce((sum, extent) => sum + extent.length, 0);
  if (keptBytes === 0 || keptBytes > LIMITS.contextBytes || extents.length > CONTEXT_EXTENTS_MAX) return alone(job);
  return { job, extents, kept, aligned: pieces.every((piece) => piece.aligned) };
}

/** Contexts of the jobs, read at once; undefined for those without, and for those that cannot be read. */
export async function readContexts(
  source: VersionReader,
  placed: readonly PlacedJob[],
): Promise<(BlobContext | undefined)[]> {
  let bytes: Buffer;
  try {
    bytes = await source.readRanges(Float64Array.from(placed.flatMap(({ kept }) => kept)));
  } catch {
    // A damaged source is `verify`'s business: here it only means that the new bytes are stored on their own.
    if (placed.length <= 1) return [undefined];
    const each: (BlobContext | undefined)[] = [];
    for (const item of placed) each.push(...(await readContexts(source, [item])));
    return each;
  }
  let at = 0;
  return placed.map(({ extents, aligned }) => {
    if (extents.length === 0) return undefined;
    const start = at;
    for (const extent of extents) at += extent.length;
    return { bytes: bytes.subarray(start, at), extents, aligned };
  });
}
