/** Keys that open an encrypted store: list, add, remove, replace. No pack is written; the store may be in use. */
import { DiffKeeperError, systemClock } from '../core/core.js';
import { type KeyKind, type KeyRing, type StoreKey, withSlot } from '../crypt/crypt.js';
import { readKeyRing, unlock, writeKeyRing } from './key-files.js';
import { findMarker } from './marker-files.js';
import { explainMissing, storePaths } from './store-files.js';

/** What is known of a key without having it. */
export interface StoreKeyFacts {
  readonly id: number;
  readonly kind: KeyKind;
  /** ISO 8601 time. */
  readonly created: string;
}

async function encryptedStore(root: string): Promise<{ readonly root: string; readonly id: string }> {
  const paths = storePaths(root);
  const marker = (await findMarker(paths))?.marker;
  if (!marker) throw await explainMissing(paths);
  if (marker.encryption === undefined) {
    throw new DiffKeeperError('DK_ARGUMENT', `the store ${paths.root} is not encrypted: it has no keys`, {
      path: paths.root,
    });
  }
  return { root: paths.root, id: marker.id };
}

function factsOf({ slots }: KeyRing): StoreKeyFacts[] {
  return slots.map(({ id, kind, created }) => ({ id, kind, created }));
}

/** Keys that open a store. @throws DK_NO_STORE, DK_ARGUMENT for one that is not encrypted, DK_KEY_LOST */
export async function listStoreKeys(root: string): Promise<StoreKeyFacts[]> {
  const store = await encryptedStore(root);
  return factsOf(await readKeyRing(store.root, store.id));
}

/** Adds a key; `key` is one that opens the store already. @throws as `listStoreKeys`, DK_KEY_WRONG, DK_LIMIT above 16 keys */
export async function addStoreKey(root: string, key: StoreKey, added: StoreKey): Promise<StoreKeyFacts[]> {
  const store = await encryptedStore(root);
  const { ring, master } = await unlock(store.root, store.id, key);
  const next = await withSlot(ring, master, added, systemClock.nowMs());
  await writeKeyRing(store.root, next);
  return factsOf(next);
}

/**
 * Removes the key with this number; `key` is one that opens the store, the last one stays.
 *
 * @throws as `listStoreKeys`, DK_KEY_WRONG, DK_NOT_FOUND
 */
export async function removeStoreKey(root: string, key: StoreKey, id: number): Promise<StoreKeyFacts[]> {
  const store = await encryptedStore(root);
  const { ring } = await unlock(store.root, store.id, key);
  const slots = ring.slots.filter((slot) => slot.id !== id);
  if (slots.length === ring.slots.length) {
    throw new DiffKeeperError('DK_NOT_FOUND', `the store ${store.root} has no key ${id}`, { actual: id });
  }
  if (slots.length === 0) {
    throw new DiffKeeperError('DK_ARGUMENT', `key ${id} is the only one of ${store.root}: add another one first`);
  }
  const next = { ...ring, slots };
  await writeKeyRing(store.root, next);
  return factsOf(next);
}

/** Puts a new key in the place of `key`, in one step. @throws as `addStoreKey` */
export async function rotateStoreKey(root: string, key: StoreKey, replacement: StoreKey): Promise<StoreKeyFacts[]> {
  const store = await encryptedStore(root);
  const { ring, master, slot } = await unlock(store.root, store.id, key);
  const others = { ...ring, slots: ring.slots.filter(({ id }) => id !== slot) };
  const next = await withSlot(others, master, replacement, systemClock.nowMs());
  await writeKeyRing(store.root, next);
  return factsOf(next);
}
