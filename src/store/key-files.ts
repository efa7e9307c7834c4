/**
 * The key files of an encrypted store, `KEYS` and `KEYS.copy`: the same twice, because without them nothing of the
 * store can be read any more. Each is replaced as a whole, one after the other.
 */
import * as path from 'node:path';
import { DiffKeeperError, fromSystemError, fsyncDirectory, systemCode, writeFileDurable } from '../core/core.js';
import {
  decodeRing,
  encodeRing,
  epochOf,
  type KeyRing,
  masterKeys,
  newMasterKey,
  openRing,
  type StoreKey,
  type StoreKeys,
  storeKeys,
  withSlot,
} from '../crypt/crypt.js';
import { keysBusy, unlessKeysChange } from './key-turn.js';
import { assertAnyTwin, putTwinAside, readTwinFile, type TwinFile } from './twin-file.js';

export const KEY_FILE_NAMES = ['KEYS', 'KEYS.copy'] as const;

/** Stores that whole key files name. */
export async function storesOfKeys(root: string): Promise<string[]> {
  const files = await readKeyFiles(root);
  assertAnyTwin(files);
  return files.flatMap(({ bytes }) => (bytes && decodeRing(bytes)?.store) ?? []);
}

/** Both files, the one that counts first. */
export async function readKeyFiles(root: string): Promise<TwinFile[]> {
  const files: TwinFile[] = [];
  for (const name of KEY_FILE_NAMES) files.push(await readTwinFile(path.join(root, name)));
  return files;
}

/** The ring of this store, from the first file that is whole and knows the newest master key; a file that differs is written again when it can be. */
export async function readKeyRing(root: string, storeId: string): Promise<KeyRing> {
  const files = await readKeyFiles(root);
  const good = goodKeys(files, storeId);
  if (good) {
    const [source, other] = good.twins;
    // A read-only file system is no reason not to read the store. What the disk does not give is left to a repair.
    if (!other.unreadable && !other.bytes?.equals(good.bytes)) {
      await mend(root, source, other, good.bytes).catch(() => {});
      await syncNames(root);
    }
    return good.ring;
  }
  // It may be good.
  for (const { unreadable } of files) if (unreadable) throw unreadable;
  throw await keyLost(root, storeId);
}

/** The process that wrote one of them may have been killed before its name was durable: nothing may be sealed under its key before. */
async function syncNames(root: string): Promise<void> {
  await fsyncDirectory(root).catch((error: unknown) => {
    if (systemCode(error) !== 'EROFS') throw fromSystemError(error, 'sync', root);
  });
}

interface GoodKeys {
  readonly ring: KeyRing;
  readonly bytes: Buffer;
  /** The file that they are from, and the other one. */
  readonly twins: readonly [TwinFile, TwinFile];
}

/** One from before a rotation was put there from elsewhere: it must not take the place of the only one that opens all. */
function goodKeys([first, second]: readonly TwinFile[], storeId: string): GoodKeys | null {
  let good: GoodKeys | null = null;
  for (const [source, other] of [[first, second] as const, [second, first] as const]) {
    const ring = source?.bytes && decodeRing(source.bytes);
    if (!source?.bytes || !other || ring?.store !== storeId) continue;
    if (!good || epochOf(ring) > epochOf(good.ring)) good = { ring, bytes: source.bytes, twins: [source, other] };
  }
  return good;
}

/** Keys may be changed at this very moment, which writes both: what is older than they are must not come back. */
function mend(root: string, source: TwinFile, other: TwinFile, bytes: Buffer): Promise<void> {
  return unlessKeysChange(root, async () => {
    const now = await readTwinFile(source.file);
    if (now.bytes?.equals(bytes)) await writeFileDurable(other.file, bytes);
  });
}

/** Writes a key file anew that the disk does not give, from the other one; it stays in the quarantine. */
export async function replaceUnreadableKeys(root: string, storeId: string, quarantine: string): Promise<void> {
  await unlessKeysChange(root, async () => {
    const good = goodKeys(await readKeyFiles(root), storeId);
    if (!good?.twins[1].unreadable) return;
    await putTwinAside(good.twins[1].file, quarantine);
    await writeFileDurable(good.twins[1].file, good.bytes);
  });
}

/** Key files of another store are no damage of theirs: what to do is another thing then. */
async function keyLost(root: string, storeId: string): Promise<DiffKeeperError> {
  const [other] = await storesOfKeys(root);
  const what = other
    ? `its key files belong to the store ${other}, its marker says ${storeId}: one of them was put there from elsewhere, or "diffkeeper repair" mends the marker`
    : 'its key files are missing or damaged: put KEYS back from a copy';
  return new DiffKeeperError('DK_KEY_LOST', `the store ${root} is encrypted and ${what}`, {
    path: path.join(root, KEY_FILE_NAMES[0]),
  });
}

/** Throws DK_IO, DK_DISK_FULL; DK_STORE_LOCKED when somebody who could not be kept out wrote other keys just now. */
export async function writeKeyRing(root: string, ring: KeyRing): Promise<void> {
  const [first, second] = KEY_FILE_NAMES.map((name) => path.join(root, name)) as [string, string];
  const bytes = encodeRing(ring);
  for (const file of [first, second]) {
    const { bytes: now } = file === second ? await readTwinFile(first) : { bytes: null };
    if (now && !now.equals(bytes)) throw keysBusy(root);
    await writeFileDurable(file, bytes).catch((error: unknown) => {
      throw fromSystemError(error, 'write', file);
    });
  }
}

/** Writes the key files of a new store. */
export async function createKeys(root: string, storeId: string, key: StoreKey, nowMs: number): Promise<void> {
  await writeKeyRing(root, await withSlot({ store: storeId, next: 1, slots: [] }, newMasterKey(), key, nowMs));
}

export function keyNeeded(root: string): DiffKeeperError {
  const how = 'give --passphrase-file, --key-file or DIFFKEEPER_PASSPHRASE (option `key` of the library)';
  return new DiffKeeperError('DK_KEY_NEEDED', `the store ${root} is encrypted: ${how}`, { path: root });
}

/** The master key behind a key. @throws DK_KEY_WRONG, DK_KEY_LOST */
export async function unlock(
  root: string,
  storeId: string,
  key: StoreKey,
): Promise<{ readonly ring: KeyRing; readonly master: Buffer; readonly slot: number }> {
  const ring = await readKeyRing(root, storeId);
  const opened = await openRing(ring, key);
  if (opened) return { ring, ...opened };
  throw wrongKey(root, ring);
}

export function wrongKey(root: string, ring: KeyRing): DiffKeeperError {
  const kinds = [...new Set(ring.slots.map(({ kind }) => (kind === 'passphrase' ? 'a passphrase' : 'a key file')))];
  return new DiffKeeperError(
    'DK_KEY_WRONG',
    `this key does not open the store ${root}; it was made for ${kinds.join(' or ')}`,
    { path: root },
  );
}

/** The keys of a store that stands. @throws DK_KEY_NEEDED, DK_KEY_WRONG, DK_KEY_LOST */
export async function openKeys(root: string, storeId: string, key: StoreKey | undefined): Promise<StoreKeys> {
  if (key === undefined) throw keyNeeded(root);
  const { ring, master } = await unlock(root, storeId, key);
  return storeKeys(masterKeysOf(root, ring, master), storeId);
}

/** All master keys by their numbers, from the newest. @throws DK_KEY_LOST */
export function masterKeysOf(root: string, ring: KeyRing, newest: Buffer): ReadonlyMap<number, Buffer> {
  const masters = masterKeys(ring, newest);
  if (masters) return masters;
  const message = `the store ${root}: an older master key in its key files does not open: put KEYS back from a copy`;
  throw new DiffKeeperError('DK_KEY_LOST', message, { path: path.join(root, KEY_FILE_NAMES[0]) });
}
