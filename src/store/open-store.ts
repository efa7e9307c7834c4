/** Opens a store: marker, metadata, tail; and the object that ties the parts together. */
import { rename, rm } from 'node:fs/promises';
import * as path from 'node:path';
import {
  type Clock,
  DiffKeeperError,
  fromSystemError,
  isDiffKeeperError,
  type Logger,
  makeDirectory,
  silentLogger,
  systemClock,
  systemCode,
} from '../core/core.js';
import type { StoreKeys } from '../crypt/crypt.js';
import type { Engine } from '../engine/engine.js';
import { loadEngine } from '../engine/load.js';
import type { Checksum, Marker } from '../format/format.js';
import { placeAside } from './aside.js';
import { createKeys, keyNeeded, openKeys, storesOfKeys } from './key-files.js';
import { type FoundMarker, findMarker, makeMarker, mendMarker } from './marker-files.js';
import { restoreMarker } from './marker-restore.js';
import { Meta } from './meta.js';
import { bringBack, isThere } from './meta-before.js';
import { ciphersOf } from './meta-ciphers.js';
import { followRotation, removeOlder } from './meta-rotation.js';
import { OpenedStore } from './opened-store.js';
import { checkOwnPlaces } from './own-places.js';
import {
  assertWritable,
  beginCreation,
  explainMissing,
  hasPacks,
  lockedError,
  type StorePaths,
  storePaths,
  writeOwner,
} from './store-files.js';
import { lockStore } from './store-lock.js';
import type { Store, StoreOptions } from './types.js';

/** Options with every default in place. */
export interface OpenTools {
  readonly engine: Engine;
  readonly checksum: Checksum;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly snapshotInterval: number;
  /** zstd level; undefined when none was asked for. */
  readonly level: number | undefined;
}

export interface OpenFacts extends OpenTools {
  readonly paths: StorePaths;
  readonly marker: Marker;
  /** Null for a store that is not encrypted. */
  readonly keys: StoreKeys | null;
}

/** What a caller asks for, or, for a store that is opened once more, its facts. */
export type AskedOptions = Omit<StoreOptions, 'level'> & Partial<Pick<OpenTools, 'level'>>;

/** Throws RangeError. */
export function openTools(options: AskedOptions): OpenTools {
  const { snapshotInterval = 10, level, clock = systemClock, logger = silentLogger } = options;
  checkRange('snapshotInterval', snapshotInterval, 1, 64);
  if (level !== undefined) checkRange('level', level, 1, 19);
  const engine = options.engine ?? loadEngine();
  return { engine, checksum: (bytes) => engine.xxh3(bytes), clock, logger, snapshotInterval, level };
}

/**
 * Opens a store for reading and writing; one process at a time owns it.
 *
 * @throws DK_NO_STORE, DK_STORE_READ_ONLY, DK_STORE_FORMAT_NEWER, DK_STORE_LOCKED, DK_IO, DK_DISK_FULL; DK_UNSAFE_PATH when
 * links, pipes or devices stand in place of its directories and files; of an encrypted store DK_KEY_NEEDED, DK_KEY_WRONG, DK_KEY_LOST; DK_ARGUMENT for a key of a store that is not; RangeError for a bad option
 */
export function openStore(root: string, options: StoreOptions = {}): Promise<Store> {
  return openAfter(root, options);
}

/**
 * As `openStore`, once something has been done to its keys that only who owns the store may do.
 *
 * @param change leaves key files that the `key` of the options opens
 */
export async function openAfter(root: string, options: StoreOptions, change?: ChangeKeys): Promise<Store> {
  try {
    return await openNow(root, options, change);
  } catch (error) {
    throw systemCode(error) === '' ? error : fromSystemError(error, 'open the store', path.resolve(root));
  }
}

export type ChangeKeys = (paths: StorePaths, marker: Marker, tools: OpenTools) => Promise<void>;

async function openNow(root: string, options: StoreOptions, change?: ChangeKeys): Promise<Store> {
  const tools = openTools(options);
  const { clock } = tools;
  const paths = storePaths(root);
  await checkOwnPlaces(paths.root);
  const found = await lookForMarker(paths, options, tools);
  const fresh = found === null;
  if (fresh) {
    if (options.create !== true) throw await explainMissing(paths);
    checkNewKey(paths, options);
    await assertWritable(paths, true);
    await beginCreation(paths);
  } else {
    await assertWritable(paths, false);
  }
  const { meta, rebuild } = await openLocked(paths, { ...tools, fresh });
  let store: OpenedStore | undefined;
  try {
    await writeOwner(paths, clock.nowMs());
    const marker =
      found !== null && found !== 'lost' && found.whole ? found.marker : await settle(paths, options, tools);
    await change?.(paths, marker, tools);
    const keys = await keysOf(paths, marker, options);
    if (keys) await meta.useCiphers(ciphersOf(keys));
    await makeRoom(paths);
    const must = change !== undefined;
    const anew = (must || meta.isOlder) && !(await followRotation(meta, paths, { must, ...tools }));
    if (keys && keys.epoch > 0) await removeOlder(paths, tools.logger);
    store = new OpenedStore({ paths, marker, keys, ...tools }, meta);
    await store.start({ rebuild, anew }, options.restoreMarker === true);
    return store;
  } catch (error) {
    await (store ?? meta).close().catch(() => {});
    throw error;
  }
}

/** What stands beside metadata and packs; side by side, as to hear of each call takes longer than the call. */
async function makeRoom({ cache, quarantine }: StorePaths): Promise<void> {
  const done = await Promise.allSettled([makeDirectory(cache), makeDirectory(quarantine)]);
  for (const one of done) if (one.status === 'rejected') throw one.reason;
}

/** A store that is to be encrypted needs a key before anything is made. */
function checkNewKey(paths: StorePaths, { encrypt = false, key }: StoreOptions): void {
  if (encrypt && key === undefined) throw keyNeeded(paths.root);
  if (!encrypt && key !== undefined) throw notEncrypted(paths, 'to make an encrypted one give --encrypt as well');
}

/** Who gives a key takes the store for an encrypted one: writing into it in the clear would be a bad surprise. */
function notEncrypted({ root }: StorePaths, advice: string): DiffKeeperError {
  const message = `a key was given (option, or DIFFKEEPER_PASSPHRASE), but the store ${root} is not encrypted: ${advice}`;
  return new DiffKeeperError('DK_ARGUMENT', message, { path: root });
}

/** Null when there is no store yet; `lost` when there is one, and its marker is to be written anew. */
async function lookForMarker(
  paths: StorePaths,
  { restoreMarker: restore = false }: StoreOptions,
  { engine, checksum }: OpenTools,
): Promise<FoundMarker | 'lost' | null> {
  try {
    const found = await findMarker(paths, { engine, checksum, doubted: restore });
    return found === null && restore && (await hasPacks(paths)) ? 'lost' : found;
  } catch (error) {
    // A file of this name in a directory without packs and keys belongs to somebody else.
    const known = restore && isDiffKeeperError(error, 'DK_NO_STORE');
    if (known && ((await hasPacks(paths)) || (await storesOfKeys(paths.root)).length > 0)) return 'lost';
    throw error;
  }
}

/**
 * The marker, made, mended or restored as it has to be. Only who has the lock may say that there is none: another process
 * may have made the store meanwhile.
 */
async function settle(paths: StorePaths, options: StoreOptions, tools: OpenTools): Promise<Marker> {
  const found = await lookForMarker(paths, options, tools);
  if (found !== null) await makeDirectory(paths.quarantine);
  if (found === 'lost') return restoreMarker(paths, options, tools);
  const { hashAlgo = 'blake3', encrypt = false, key } = options;
  const nowMs = tools.clock.nowMs();
  const withKeys = async (storeId: string): Promise<void> => {
    if (key !== undefined) await createKeys(paths.root, storeId, key, nowMs);
  };
  const mended = found && (await mendMarker(paths, tools));
  return mended ?? makeMarker(paths, { hashAlgo, nowMs, ...(encrypt && { withKeys }) });
}

/** The keys of a store that stands; null for one that is not encrypted. Throws DK_KEY_*, and DK_ARGUMENT for a key too much. */
export async function keysOf(paths: StorePaths, marker: Marker, options: AskedOptions): Promise<StoreKeys | null> {
  const { encrypt = false, key } = options;
  if (marker.encryption !== undefined) return openKeys(paths.root, marker.id, key);
  if (key !== undefined) throw notEncrypted(paths, 'leave the key out, or recover into a new store');
  if (!encrypt) return null;
  throw new DiffKeeperError(
    'DK_ARGUMENT',
    `the store ${paths.root} stands and is not encrypted: recover into a new one`,
    {
      path: paths.root,
    },
  );
}

function checkRange(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be a whole number from ${min} to ${max}, came ${value}`);
  }
}

interface MetaOptions {
  readonly fresh: boolean;
  readonly checksum: Checksum;
  readonly logger: Logger;
}

interface OpenedMeta {
  readonly meta: Meta;
  /** It is empty. */
  readonly rebuild: boolean;
}

/** Nobody else has the store until the metadata is closed, whatever happens to its directory meanwhile. */
async function openLocked(paths: StorePaths, options: MetaOptions): Promise<OpenedMeta> {
  const lock = await lockStore(paths);
  try {
    const opened = await openMeta(paths, options);
    opened.meta.keep(lock);
    return opened;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The metadata; that of before when a repair was making it anew and did not end. */
async function openMeta(paths: StorePaths, options: MetaOptions): Promise<OpenedMeta> {
  const opened = await openOrBegin(paths, options);
  try {
    if (options.fresh || !(await isThere(paths.metaBefore))) return opened;
    await bringBack({ ...paths, meta: opened.meta, logger: options.logger });
    return { meta: opened.meta, rebuild: false };
  } catch (error) {
    // Until then nobody else has it.
    await opened.meta.close().catch(() => {});
    if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX') || (await isThere(paths.metaBefore))) throw error;
    return openOrBegin(paths, options);
  }
}

/** Metadata that is lost or does not open is put aside and rebuilt from the packs: it is only an index. */
async function openOrBegin(paths: StorePaths, options: MetaOptions): Promise<OpenedMeta> {
  const { fresh, checksum, logger } = options;
  const tablesFile = path.join(paths.cache, 'meta-tables');
  try {
    return { meta: await Meta.open(paths.meta, { create: fresh, checksum, tablesFile }), rebuild: false };
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_STORE_LOCKED')) throw await lockedError(paths, error);
    if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
    logger.warn({ reason: error.message }, 'the metadata does not open: rebuilding it from the packs');
  }
  await makeDirectory(paths.quarantine);
  await rm(tablesFile, { force: true });
  await rename(paths.meta, placeAside(paths.quarantine, 'meta')).catch((error: unknown) => {
    logger.debug({ error: String(error) }, 'no metadata directory to put aside');
  });
  return { meta: await Meta.open(paths.meta, { create: true, checksum, tablesFile }), rebuild: true };
}
