/**
 * The marker of a store, in two files with the same bytes, `DIFFKEEPER` and `DIFFKEEPER.copy`: without it nobody knows
 * whose packs these are. A reader takes the good one of the two; who owns the store mends the other one.
 */
import { type FileHandle, open, readdir } from 'node:fs/promises';
import * as path from 'node:path';
import {
  DiffKeeperError,
  fromSystemError,
  isDiffKeeperError,
  type Logger,
  randomBytes,
  readFully,
  systemCode,
  writeFileDurable,
} from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { loadEngine } from '../engine/load.js';
import {
  type Checksum,
  CIPHER,
  decodeMarker,
  ENCRYPTED_FORMAT,
  encodeMarker,
  isMarkerChecked,
  type Marker,
  PACK_HEADER_BYTES,
  type Sha256,
  STORE_FORMAT,
  storeOfPackHeader,
} from '../format/format.js';
import { placeAside } from './aside.js';
import { storesOfKeys } from './key-files.js';
import { hasPacks, REPAIR_ADVICE, type StorePaths } from './store-files.js';
import { assertAnyTwin, putTwinAside, readTwinFile, type TwinFile } from './twin-file.js';

/** One of the two files. */
export interface MarkerFile extends TwinFile {
  /** Null when it is missing or damaged. */
  readonly marker: Marker | null;
  /** Its digest is right: nothing of it has changed since it was written. */
  readonly checked: boolean;
  /** What is wrong with one that is there. */
  readonly trouble: DiffKeeperError | null;
}

export interface FoundMarker {
  readonly marker: Marker;
  /** What both files should hold. */
  readonly bytes: Buffer;
  /** They do. */
  readonly whole: boolean;
}

const engineChecksum: Checksum = (bytes) => loadEngine().xxh3(bytes);

async function readOne(file: string, root: string, sha256: Sha256 | undefined): Promise<MarkerFile> {
  const found = await readTwinFile(file);
  const { bytes } = found;
  if (bytes === null) return { ...found, marker: null, checked: false, trouble: null };
  const checked = isMarkerChecked(bytes, sha256);
  try {
    return { ...found, marker: decodeMarker(bytes, root, sha256), checked, trouble: null };
  } catch (error) {
    // A newer format that is what was written stands above whatever the other file says.
    if (!isDiffKeeperError(error) || checked) throw error;
    return { ...found, marker: null, checked, trouble: error };
  }
}

/** Both files, the one that can be relied on first. */
export async function readMarkerFiles({ markers, root }: StorePaths, engine?: Engine): Promise<MarkerFile[]> {
  const sha256: Sha256 | undefined = engine && ((bytes) => engine.digest('sha256', bytes));
  const files = await Promise.all(markers.map((file) => readOne(file, root, sha256)));
  return files.sort((one, other) => Number(other.checked) - Number(one.checked));
}

/** Stores that packs name, pack by pack; headers that are damaged name none. */
export async function* storesOfPacks(
  { packs }: StorePaths,
  checksum: Checksum,
): AsyncGenerator<{ readonly name: string; readonly store: string }> {
  for (const name of (await readdir(packs).catch(() => [])).sort()) {
    if (!/^\d{8}\.dkp$/.test(name)) continue;
    const store = storeOfPackHeader(await headOf(path.join(packs, name), PACK_HEADER_BYTES), checksum);
    if (store !== null) yield { name, store };
  }
}

/** The first bytes of a pack, none of one that a prune has removed meanwhile. */
export async function headOf(file: string, bytes: number): Promise<Buffer> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'r');
    const head = Buffer.alloc(bytes);
    return head.subarray(0, await readFully(handle, head, 0));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return Buffer.alloc(0);
    throw fromSystemError(error, 'read', file);
  } finally {
    await handle?.close();
  }
}

/** Which of these stores the packs name, or the key files when no pack names any; null when nothing does. */
async function namedAmong(
  paths: StorePaths,
  ids: ReadonlySet<string>,
  checksum: Checksum,
): Promise<Set<string> | null> {
  const named = new Set<string>();
  let any = false;
  for await (const { store } of storesOfPacks(paths, checksum)) {
    any = true;
    if (ids.has(store)) named.add(store);
    if (named.size === ids.size) return named;
  }
  if (any) return named;
  const keys = await storesOfKeys(paths.root);
  return keys.length > 0 ? new Set(keys.filter((store) => ids.has(store))) : null;
}

/** The file that counts. A marker without a digest counts when nothing that it belongs to contradicts it. */
async function choose(
  paths: StorePaths,
  files: readonly MarkerFile[],
  { checksum, doubted }: { readonly checksum: Checksum; readonly doubted: boolean },
): Promise<MarkerFile> {
  const usable = files.filter(({ marker }) => marker !== null);
  const [first, second] = usable;
  if (!first) throw await damaged(paths, files);
  const ids = new Set(usable.flatMap(({ marker }) => marker?.id ?? []));
  if (first.checked && ids.size === 1 && !doubted) return first;
  const named = await namedAmong(paths, ids, checksum);
  const fitting = usable.filter(({ marker }) => named?.has(marker?.id ?? ''));
  const best = named === null ? usable : fitting;
  // Of two that are as good as each other and name two stores, neither is better than a guess.
  const equals = best.length === 2 && ids.size === 2 && first.checked === second?.checked;
  if (!best[0] || equals) throw lostMarker(paths, 'its marker files and its packs name different stores');
  return best[0];
}

async function damaged(paths: StorePaths, files: readonly MarkerFile[]): Promise<DiffKeeperError> {
  // It may be good: what the packs say is a guess beside it.
  for (const { unreadable } of files) if (unreadable) return unreadable;
  const troubles = files.flatMap(({ trouble }) => trouble ?? []);
  const newer = troubles.find((error) => isDiffKeeperError(error, 'DK_STORE_FORMAT_NEWER'));
  const told = newer ?? troubles[0];
  if (newer || !(await hasPacks(paths))) return told as DiffKeeperError;
  return lostMarker(paths, told?.message.slice(told.message.indexOf('its marker')) ?? '');
}

function lostMarker({ root }: StorePaths, reason: string): DiffKeeperError {
  const message = `${root} cannot be opened as a DiffKeeper store: ${reason}; ${REPAIR_ADVICE}`;
  return new DiffKeeperError('DK_NO_STORE', message, { path: root });
}

/**
 * The marker; null when there is none.
 *
 * @param doubted what it says is compared with the packs even when its digest is right
 * @throws DK_NO_STORE when neither file can be used, or what they say is contradicted; DK_STORE_FORMAT_NEWER, DK_IO
 */
export async function findMarker(
  paths: StorePaths,
  options: { readonly checksum?: Checksum; readonly doubted?: boolean; readonly engine?: Engine } = {},
): Promise<FoundMarker | null> {
  const { checksum = engineChecksum, doubted = false, engine } = options;
  const files = await readMarkerFiles(paths, engine);
  assertAnyTwin(files);
  if (files.every(({ bytes }) => bytes === null)) return null;
  const { marker, checked, bytes: found } = await choose(paths, files, { checksum, doubted });
  if (marker === null || found === null) return null;
  // As it stands: it may say more than this release knows.
  const bytes = checked ? found : encodeMarker(marker);
  return { marker, bytes, whole: files.every((one) => one.bytes?.equals(bytes)) };
}

/**
 * The marker, with both files as they should be; only for who owns the store. What cannot be written is tried again at
 * the next opening: the store can be used without.
 *
 * @throws as `findMarker`
 */
export async function mendMarker(
  paths: StorePaths,
  options: { readonly checksum: Checksum } & WriteOptions,
): Promise<Marker | null> {
  const { checksum, logger } = options;
  const found = await findMarker(paths, { checksum });
  if (found && !found.whole) {
    await writeMarker(paths, found.bytes, options).catch((error: unknown) => {
      logger.warn({ error: String(error) }, 'a marker file of the store cannot be written: it stands once only');
    });
  }
  return found?.marker ?? null;
}

interface WriteOptions {
  readonly logger: Logger;
  /** Replace also a file that the disk does not give; by default only that is told. */
  readonly unreadableToo?: boolean;
}

/** Brings these bytes into both files; what they replace is kept in the quarantine. Throws system errors. */
export async function writeMarker(paths: StorePaths, bytes: Buffer, options: WriteOptions): Promise<void> {
  const { logger, unreadableToo = false } = options;
  // The copy first: a marker without a digest stands for itself until there is a copy with one.
  for (const file of [paths.markers[1], paths.markers[0]]) {
    const { bytes: before, unreadable } = await readTwinFile(file);
    if (before?.equals(bytes)) continue;
    if (unreadable) {
      logger.warn(
        { file, error: unreadable.message },
        'a marker file of the store cannot be read: the other one is used',
      );
      if (!unreadableToo) continue;
      await putTwinAside(file, paths.quarantine);
    }
    if (before && !saysTheSame(before, bytes)) {
      await writeFileDurable(placeAside(paths.quarantine, 'marker'), before);
      logger.warn({ file }, 'a marker file of the store was damaged: written anew');
    }
    await writeFileDurable(file, bytes);
  }
}

/** A marker of an older release differs in its form alone. */
function saysTheSame(before: Buffer, bytes: Buffer): boolean {
  try {
    return encodeMarker(decodeMarker(before, '')).equals(encodeMarker(decodeMarker(bytes, '')));
  } catch {
    return false;
  }
}

/** Makes the marker of a new store, whose directories are durable. */
export async function makeMarker(
  paths: StorePaths,
  options: {
    readonly hashAlgo: HashAlgo;
    readonly nowMs: number;
    /** Makes the key files of an encrypted store, which must be there before the marker. */
    readonly withKeys?: (storeId: string) => Promise<void>;
  },
): Promise<Marker> {
  const { hashAlgo, nowMs, withKeys } = options;
  const marker: Marker = {
    format: withKeys ? ENCRYPTED_FORMAT : STORE_FORMAT,
    id: randomBytes(16).toString('hex'),
    hashAlgo,
    seed: randomBytes(16).toString('hex'),
    created: new Date(nowMs).toISOString(),
    ...(withKeys && { encryption: CIPHER }),
  };
  await withKeys?.(marker.id);
  // The copy last: until it is there, the store is as one that an older release made.
  for (const file of paths.markers) await writeFileDurable(file, encodeMarker(marker));
  return marker;
}
