/** The versions of one path, and what each took to store. */
import { type BytePath, isDiffKeeperError, throwIfAborted } from '../core/core.js';
import { digestKey, type Extent, VERSION_TYPE, type Version } from '../format/format.js';
import type { BlobInfo, OnUnreadable, Store, VersionSummary } from '../store/store.js';
import { type EntryFacts, entryFacts } from './entry-listing.js';

const VERSIONS_MAX = 60;
/** Pieces of content that one answer may look at, and of one version. */
const EXTENTS_MAX = 400_000;
const VERSION_EXTENTS_MAX = 60_000;
/** Recipes of larger files are not looked at for this. */
const COST_BYTES_MAX = 8 * 2 ** 30;
const INFO_BATCH = 2000;

/** What a version took to store beyond the version before it. */
export interface VersionCost {
  /** Bytes in packs of the blobs that the version before does not use. */
  readonly storedBytes: number;
  /** How many blobs these are, and how many of them are deltas against older bytes. */
  readonly blobs: number;
  readonly deltas: number;
  /** Most coded layers between one of them and absolute bytes. */
  readonly depth: number;
  /** Content bytes that lie in blobs which were there before. */
  readonly reusedBytes: number;
  /** Content bytes that are runs of zeros. */
  readonly zeroBytes: number;
}

export interface HistoryEntry extends EntryFacts {
  readonly timeMs: number;
  readonly digest: string | null;
  /** Null for what has no content, and for files in too many pieces. */
  readonly cost: VersionCost | null;
  readonly damage?: Damage;
}

export interface Damage {
  readonly code: string | null;
  readonly message: string;
}

export function damageOf(error: unknown): Damage {
  const message = error instanceof Error ? error.message : String(error);
  return { code: isDiffKeeperError(error) ? error.code : null, message };
}

/** The blobs of one version: by key, with the content bytes taken from each. */
interface Pieces {
  readonly blobs: ReadonlyMap<string, { readonly extent: Extent; readonly bytes: number }>;
  readonly zeroBytes: number;
  readonly extents: number;
}

async function piecesOf(store: Store, version: Version): Promise<Pieces | null> {
  if (version.type !== VERSION_TYPE.file || version.size > COST_BYTES_MAX) return null;
  const blobs = new Map<string, { extent: Extent; bytes: number }>();
  let zeroBytes = 0;
  const extents = version.size === 0 ? [] : await store.reader(version).extents(0, version.size);
  if (extents.length > VERSION_EXTENTS_MAX) return null;
  for (const extent of extents) {
    if (extent.digest === null) zeroBytes += extent.length;
    else {
      const key = digestKey(extent.digest);
      blobs.set(key, { extent, bytes: (blobs.get(key)?.bytes ?? 0) + extent.length });
    }
  }
  return { blobs, zeroBytes, extents: extents.length };
}

async function infosOf(store: Store, extents: readonly Extent[]): Promise<BlobInfo[]> {
  const infos: BlobInfo[] = [];
  for (let at = 0; at < extents.length; at += INFO_BATCH) {
    const digests = extents.slice(at, at + INFO_BATCH).flatMap(({ digest }) => (digest === null ? [] : [digest]));
    for (const info of await store.blobInfos(digests)) if (info) infos.push(info);
  }
  return infos;
}

async function costOf(store: Store, pieces: Pieces, before: Pieces | null): Promise<VersionCost> {
  const fresh: Extent[] = [];
  let reusedBytes = 0;
  for (const [key, { extent, bytes }] of pieces.blobs) {
    if (before?.blobs.has(key)) reusedBytes += bytes;
    else fresh.push(extent);
  }
  const infos = await infosOf(store, fresh);
  return {
    storedBytes: infos.reduce((sum, info) => sum + info.recordBytes, 0),
    blobs: fresh.length,
    deltas: infos.filter((info) => info.depth > 0).length,
    depth: infos.reduce((most, info) => Math.max(most, info.depth), 0),
    reusedBytes,
    zeroBytes: pieces.zeroBytes,
  };
}

/** Works out pieces of neighbouring versions once each, as far as the budget of one answer goes. */
class CostBook {
  readonly #store: Store;
  readonly #known = new Map<Version, Pieces | Damage | null>();
  #left = EXTENTS_MAX;

  constructor(store: Store) {
    this.#store = store;
  }

  async #pieces(version: Version): Promise<Pieces | Damage | null> {
    const known = this.#known.get(version);
    if (known !== undefined) return known;
    const found = this.#left > 0 ? await piecesOf(this.#store, version).catch(damageOf) : null;
    if (found !== null && 'blobs' in found) this.#left -= found.extents;
    this.#known.set(version, found);
    return found;
  }

  async of(version: Version, before: Version | undefined): Promise<Pick<HistoryEntry, 'cost' | 'damage'>> {
    const pieces = await this.#pieces(version);
    if (pieces === null) return { cost: null };
    if ('code' in pieces) return { cost: null, damage: pieces };
    const older = before ? await this.#pieces(before) : null;
    return { cost: await costOf(this.#store, pieces, older !== null && 'blobs' in older ? older : null) };
  }
}

/** Versions of a path, newest first; `before` leaves out this sequence and younger ones. */
export async function listVersions(
  store: Store,
  options: { readonly path: BytePath; readonly before: number; readonly signal: AbortSignal },
): Promise<{ readonly versions: readonly HistoryEntry[]; readonly more: boolean; readonly damage?: Damage }> {
  const { path, before, signal } = options;
  const found: VersionSummary[] = [];
  let damage: Damage | undefined;
  const onUnreadable: OnUnreadable = ({ sequence, error }) => {
    if (sequence < before) damage ??= damageOf(error);
  };
  try {
    for await (const summary of store.versions(path, { onUnreadable })) {
      throwIfAborted(signal);
      if (summary.sequence >= before) continue;
      // One more than shown: the last one's cost is told against it.
      if (found.push(summary) > VERSIONS_MAX) break;
    }
  } catch (error) {
    if (found.length === 0 || signal.aborted) throw error;
    damage = damageOf(error);
  }
  const book = new CostBook(store);
  const versions: HistoryEntry[] = [];
  for (const [index, { version, timeMs, sequence }] of found.slice(0, VERSIONS_MAX).entries()) {
    throwIfAborted(signal);
    const facts = { ...entryFacts(version), sequence, timeMs, digest: version.digest?.toString('hex') ?? null };
    versions.push({ ...facts, ...(await book.of(version, found[index + 1]?.version)) });
  }
  return { versions, more: found.length > VERSIONS_MAX, ...(damage ? { damage } : {}) };
}
