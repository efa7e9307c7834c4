/**
 * Several master keys of one store, numbered from 0 on: what is written is sealed under the newest, what stands keeps the
 * one that it was sealed under. The newest one wraps those before it, so that who has it reads everything.
 */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { type KeyRing, type KeySlot, newMasterKey, type OlderKey, openedSlots, withSlot } from './key-slots.js';
import { derive, type StoreKey } from './key-source.js';
import { Sealer } from './sealer.js';

const PURPOSE = 'diffkeeper older keys';

/** Number of the newest master key. */
export function epochOf({ rotated }: KeyRing): number {
  return rotated?.epoch ?? 0;
}

function wrapperOf(newest: Buffer, store: string): Sealer {
  return new Sealer(derive(newest, Buffer.from(store, 'hex'), PURPOSE));
}

function boundTo(store: string, epoch: number): Buffer {
  return Buffer.from(`${PURPOSE}\0${store}\0${epoch}`, 'utf8');
}

/** All master keys by their numbers, from the newest; null when one of those before it does not open. */
export function masterKeys(ring: KeyRing, newest: Buffer): Map<number, Buffer> | null {
  const keys = new Map<number, Buffer>();
  const wrapper = wrapperOf(newest, ring.store);
  for (const { epoch, master } of ring.rotated?.older ?? []) {
    const key = wrapper.open(Buffer.from(master, 'hex'), boundTo(ring.store, epoch));
    if (!key) return null;
    keys.set(epoch, key);
  }
  return keys.set(epochOf(ring), newest);
}

/** What a rotation is given. */
export interface Rotation {
  /** Opens the ring. */
  readonly key: StoreKey;
  /** Takes the place of `key`. Default: `key` stays. */
  readonly replacement?: StoreKey | undefined;
  /** Further keys of the ring that stay. */
  readonly others: readonly StoreKey[];
  /** Those that were not given go. Default: they are an error. */
  readonly dropOthers: boolean;
}

/**
 * The ring with a new master key. A slot takes it only when its key is there: what would let the holder of the old master
 * key into the slots would give him the new one as well.
 *
 * @returns null when `key` or one of `others` opens no slot
 * @throws DK_ARGUMENT for slots that would be lost, DK_LIMIT, and as the keys' files
 */
export async function rotatedRing(ring: KeyRing, rotation: Rotation, nowMs: number): Promise<KeyRing | null> {
  const epoch = epochOf(ring) + 1;
  if (epoch >= LIMITS.masterKeys) {
    const message = `a store has at most ${LIMITS.masterKeys} master keys: recover into a new one`;
    throw new DiffKeeperError('DK_LIMIT', message, { expected: LIMITS.masterKeys });
  }
  const { key, replacement, others } = rotation;
  const [master, slots] = [newMasterKey(), new Map<number, KeySlot>()];
  const replaced = new Set<number>();
  let before: Buffer | undefined;
  for (const [index, one] of [key, ...others].entries()) {
    let fits = false;
    for await (const opened of openedSlots(ring, one)) {
      fits = true;
      before = opened.master;
      if (index === 0 && replacement) replaced.add(opened.slot.id);
      else slots.set(opened.slot.id, opened.withMaster(master));
    }
    if (!fits) return null;
  }
  const known = before && masterKeys(ring, before);
  if (!known) return null;
  const left = ring.slots.filter(({ id }) => !slots.has(id) && !replaced.has(id));
  if (left.length > 0 && !rotation.dropOthers) throw keysLeft(left);
  const kept = ring.slots.flatMap(({ id }) => (replaced.has(id) ? [] : (slots.get(id) ?? [])));
  const older = olderKeys(known, master, ring.store);
  const next: KeyRing = { store: ring.store, next: ring.next, slots: kept, rotated: { epoch, older } };
  return replacement ? withSlot(next, master, replacement, nowMs) : next;
}

function olderKeys(known: ReadonlyMap<number, Buffer>, master: Buffer, store: string): OlderKey[] {
  const wrapper = wrapperOf(master, store);
  const sealed = (epoch: number, key: Buffer) => wrapper.seal(key, boundTo(store, epoch)).toString('hex');
  return [...known].map(([epoch, key]) => ({ epoch, master: sealed(epoch, key) }));
}

/** The ring without the master keys before this one. */
export function withoutOlder(ring: KeyRing, least: number): KeyRing {
  const { rotated } = ring;
  if (!rotated) return ring;
  return { ...ring, rotated: { ...rotated, older: rotated.older.filter(({ epoch }) => epoch >= least) } };
}

function keysLeft(left: readonly KeySlot[]): DiffKeeperError {
  const ids = left.map(({ id }) => id).join(', ');
  const message = `a new master key can only be wrapped for keys that are there: give key ${ids} as well (--other-key-file, --other-passphrase-file; option \`others\`), or drop what is not given (--drop-others; \`dropOthers\`)`;
  return new DiffKeeperError('DK_ARGUMENT', message, { actual: left.length });
}
