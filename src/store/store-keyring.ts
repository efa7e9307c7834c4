/** Keys that open an encrypted store: list, add, remove, change. Nothing else is written; the store may be in use. */
import { DiffKeeperError, systemClock } from '../core/core.js';
import { encodeRing, type KeyKind, type KeyRing, type StoreKey, withSlot } from '../crypt/crypt.js';
import { readKeyRing, unlock, writeKeyRing } from './key-files.js';
import { changeKeys, keysBusy } from './key-turn.js';
import { findMarker } from './marker-files.js';
import { checkOwnPlaces } from './own-places.js';
import { explainMissing, storePaths } from './store-files.js';

/** What is known of a key without having it. */
export interface StoreKeyFacts {
  readonly id: number;
  readonly kind: KeyKind;
  /** ISO 8601 time. */
  readonly created: string;
}

export async function encryptedStore(root: string): Promise<{ readonly root: string; readonly id: string }> {
  const paths = storePaths(root);
  await checkOwnPlaces(paths.root);
  const marker = (await findMarker(paths))?.marker;
  if (!marker) throw await explainMissing(paths);
  if (marker.encryption === undefined) {
    throw new DiffKeeperError('DK_ARGUMENT', `the store ${paths.root} is not encrypted: it has no keys`, {
      path: paths.root,
    });
  }
  return { root: paths.root, id: marker.id };
}

export function factsOf({ slots }: KeyRing): StoreKeyFacts[] {
  return slots.map(({ id, kind, created }) => ({ id, kind, created }));
}

/** Keys that open a store. @throws DK_NO_STORE, DK_ARGUMENT for one that is not encrypted, DK_KEY_LOST */
export async function listStoreKeys(root: string): Promise<StoreKeyFacts[]> {
  const store = await encryptedStore(root);
  return factsOf(await readKeyRing(store.root, store.id));
}

export type Unlocked = Awaited<ReturnType<typeof unlock>>;

/** Tries of a change that others come before, who cannot be kept out. */
const TRIES = 5;

/** Reads the keys, makes others of them, and writes these: of all changes of one store only one does so at a time. */
async function change(
  root: string,
  key: StoreKey,
  next: (unlocked: Unlocked, root: string) => Promise<KeyRing> | KeyRing,
): Promise<StoreKeyFacts[]> {
  return factsOf(await changeKeyRing(await encryptedStore(root), key, next));
}

/** As `change`, of a store that is known; gives the new ring. */
export function changeKeyRing(
  store: { readonly root: string; readonly id: string },
  key: StoreKey,
  next: (unlocked: Unlocked, root: string) => Promise<KeyRing> | KeyRing,
): Promise<KeyRing> {
  return changeKeys(store.root, async () => {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const unlocked = await unlock(store.root, store.id, key);
      const changed = await next(unlocked, store.root);
      // Stretching a passphrase takes long: what has been read before may be older than what stands there now.
      const now = await readKeyRing(store.root, store.id);
      if (!encodeRing(now).equals(encodeRing(unlocked.ring))) continue;
      await writeKeyRing(store.root, changed);
      return changed;
    }
    throw keysBusy(store.root);
  });
}

/**
 * Adds a key; `key` is one that opens the store already.
 *
 * @throws as `listStoreKeys`, DK_KEY_WRONG, DK_LIMIT above 16 keys, DK_STORE_LOCKED when others change keys all the time
 */
export function addStoreKey(root: string, key: StoreKey, added: StoreKey): Promise<StoreKeyFacts[]> {
  return change(root, key, ({ ring, master }) => withSlot(ring, master, added, systemClock.nowMs()));
}

/**
 * Removes the key with this number; `key` is one that opens the store, the last one stays.
 *
 * @throws as `listStoreKeys`, DK_KEY_WRONG, DK_NOT_FOUND, DK_STORE_LOCKED
 */
export function removeStoreKey(root: string, key: StoreKey, id: number): Promise<StoreKeyFacts[]> {
  return change(root, key, ({ ring }, place) => {
    const slots = ring.slots.filter((slot) => slot.id !== id);
    if (slots.length === ring.slots.length) {
      throw new DiffKeeperError('DK_NOT_FOUND', `the store ${place} has no key ${id}`, { actual: id });
    }
    if (slots.length === 0) {
      throw new DiffKeeperError('DK_ARGUMENT', `key ${id} is the only one of ${place}: add another one first`);
    }
    return { ...ring, slots };
  });
}

/** Puts a new key in the place of `key`, in one step; the master key stays. @throws as `addStoreKey` */
export function changeStoreKey(root: string, key: StoreKey, replacement: StoreKey): Promise<StoreKeyFacts[]> {
  return change(root, key, ({ ring, master, slot }) => {
    const others = { ...ring, slots: ring.slots.filter(({ id }) => id !== slot) };
    return withSlot(others, master, replacement, systemClock.nowMs());
  });
}
