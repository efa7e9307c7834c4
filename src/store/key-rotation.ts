/** A new master key for an encrypted store. Packs stay; all that is written from then on is sealed under the new one. */
import { open, readdir, readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { DiffKeeperError, fromSystemError, readFully, systemCode } from '../core/core.js';
import { type KeyRing, rotatedRing, type StoreKey, withoutOlder } from '../crypt/crypt.js';
import {
  type Checksum,
  checkSealedRecord,
  type Marker,
  PACK_HEADER_BYTES,
  RECORD_BYTES_MAX,
  sealedEpoch,
  sealedRecordBytes,
} from '../format/format.js';
import { masterKeysOf, wrongKey } from './key-files.js';
import { type OpenTools, openAfter } from './open-store.js';
import { PackDirectory } from './pack-directory.js';
import { QUARANTINE_OF_METADATA } from './quarantine-report.js';
import { RUNNING_PREFIX, readRunningNote } from './running-note.js';
import { type StorePaths, storePaths } from './store-files.js';
import { changeKeyRing, encryptedStore, factsOf, type StoreKeyFacts } from './store-keyring.js';
import type { Store } from './types.js';

export interface RotateOptions {
  /** Opens the store from now on in the place of `key`. Default: `key` stays. */
  readonly replacement?: StoreKey;
  /** Further keys that are to open the store after it as before. Each has to be given: a new master key is wrapped anew for each. */
  readonly others?: readonly StoreKey[];
  /** Removes the keys that were not given. Default false: they are an error. */
  readonly dropOthers?: boolean;
}

export interface KeyRotation {
  /** What opens the store now. */
  readonly keys: readonly StoreKeyFacts[];
  /** Number of the new master key; that of a store that was never rotated is 0. */
  readonly masterKey: number;
  /** Numbers of the master keys before it that packs still need, ascending. */
  readonly olderKeys: readonly number[];
}

/**
 * Gives the store a new master key. No pack is written anew: what stands stays readable for who has the old master key and
 * those packs; what is written from now on, and the whole index, is not. The caches go, so that the next capture reads the
 * state once in full. Only while no other process has the store. Whatever it throws, the store opens with the key or with
 * `replacement`, as `listStoreKeys` tells, and the next opening does what is left to do.
 *
 * @param key opens the store
 * @throws as `listStoreKeys` and `openStore`; DK_STORE_LOCKED while a process has the store; DK_KEY_WRONG for `key` or one of
 * `others`; DK_ARGUMENT when keys would be lost, while a recover into a state directory has not ended, or while an application runs whose sidecar was killed; DK_KEY_LOST for
 * key files from before another rotation; DK_LIMIT after 255 rotations
 */
export async function rotateStoreKey(root: string, key: StoreKey, options: RotateOptions = {}): Promise<KeyRotation> {
  const found = await encryptedStore(root);
  const { replacement, others = [], dropOthers = false } = options;
  const rotation = { key, replacement, others, dropOthers };
  let ring: KeyRing = { store: found.id, next: 0, slots: [] };
  const rotate = async (paths: StorePaths, { id }: Marker, { clock }: OpenTools): Promise<void> => {
    await assertNoRecover(paths);
    ring = await changeKeyRing({ root: paths.root, id }, key, async (unlocked) => {
      masterKeysOf(paths.root, unlocked.ring, unlocked.master);
      const next = await rotatedRing(unlocked.ring, rotation, clock.nowMs());
      if (next) return next;
      throw wrongKey(paths.root, unlocked.ring);
    });
  };
  // With the keys that stand: older ones, put back, would get the number of one that records are sealed under.
  await (await openAfter(found.root, { key })).close();
  const now = replacement ?? key;
  const store = await openAfter(found.root, { key: now }, rotate);
  try {
    // Not before the metadata is under the new key.
    const least = await leastKey(ring, store);
    const shorter = withoutOlder(ring, least);
    if (shorter.rotated?.older.length !== ring.rotated?.older.length)
      ring = await changeKeyRing(found, now, (unlocked) => withoutOlder(unlocked.ring, least));
  } finally {
    await store.close();
  }
  const olderKeys = ring.rotated?.older.map(({ epoch }) => epoch) ?? [];
  return { keys: factsOf(ring), masterKey: ring.rotated?.epoch ?? 0, olderKeys };
}

/** A directory that was half recovered is known by a name that the keys before made of it. */
async function assertNoRecover({ root }: StorePaths): Promise<void> {
  const names = await readdir(root).catch((error: unknown) => {
    throw fromSystemError(error, 'list', root);
  });
  if (await isLeftRunning(root, names)) {
    const running = `an application of ${root} runs, its sidecar does not: end it, or run it again, first`;
    throw new DiffKeeperError('DK_ARGUMENT', running, { path: root });
  }
  if (!names.some((name) => name.startsWith('recovering-'))) return;
  const message = `a recover into a state directory of ${root} did not end: let it end first (run it again, or recover)`;
  throw new DiffKeeperError('DK_ARGUMENT', message, { path: root });
}

/** What a killed sidecar has left is known by such a name, too; what ran before the last start of the machine does not run. */
async function isLeftRunning(root: string, names: readonly string[]): Promise<boolean> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => '');
  for (const name of names.filter((one) => one.startsWith(RUNNING_PREFIX))) {
    const note = await readRunningNote(path.join(root, name)).catch((error: unknown) => {
      throw fromSystemError(error, 'read', path.join(root, name));
    });
    if (note?.boot === boot.trim() && isThere(note.pid)) return true;
  }
  return false;
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // It is somebody else's.
    return systemCode(error) === 'EPERM';
  }
}

/**
 * The smallest number of a master key that any record needs. In each pack these only grow, so that the first record tells
 * it for all of them; where one cannot tell it, all are needed.
 */
async function leastKey({ rotated }: KeyRing, { engine, path: root, quarantinePath }: Store): Promise<number> {
  const [first] = rotated?.older ?? [];
  if (!first || (await holdsRecords(quarantinePath))) return 0;
  let least = Number.POSITIVE_INFINITY;
  const packs = new PackDirectory(storePaths(root).packs);
  for (const pack of await packs.list()) {
    least = Math.min(least, await firstKey(packs.file(pack), (bytes) => engine.xxh3(bytes)));
    if (least <= first.epoch) break;
  }
  return least;
}

/** What was put aside of packs may be put back by hand. */
async function holdsRecords(quarantine: string): Promise<boolean> {
  const names = await readdir(quarantine).catch((error: unknown) => {
    throw fromSystemError(error, 'list', quarantine);
  });
  return names.some((name) => !name.startsWith(QUARANTINE_OF_METADATA));
}

/** Number of the key of a pack's first record; 0 when it cannot be told, and infinite for a pack without a record. */
async function firstKey(file: string, checksum: Checksum): Promise<number> {
  try {
    const handle = await open(file, 'r');
    try {
      const bytes = Buffer.alloc(RECORD_BYTES_MAX);
      const record = bytes.subarray(0, await readFully(handle, bytes, PACK_HEADER_BYTES));
      if (record.length === 0) return Number.POSITIVE_INFINITY;
      const whole = record.subarray(0, sealedRecordBytes(record, PACK_HEADER_BYTES));
      checkSealedRecord(whole, PACK_HEADER_BYTES, checksum);
      return sealedEpoch(whole);
    } finally {
      await handle.close();
    }
  } catch {
    // Whatever it is, it tells nothing.
    return 0;
  }
}
