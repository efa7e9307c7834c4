/**
 * The file `KEYS` of an encrypted store: its newest master key, wrapped once per key that opens the store, so that keys
 * come and go without any other byte being written again. That key wraps the master keys of before (`master-keys.ts`).
 *
 *   file := JSON, newline, SHA-256 of the JSON in hex, newline
 */
import { createHash, DiffKeeperError, LIMITS, randomBytes } from '../core/core.js';
import {
  derive,
  isBoundedCost,
  type KeyKind,
  kindOf,
  newCost,
  type ScryptCost,
  type StoreKey,
  secretOf,
  stretch,
} from './key-source.js';
import { KEY_BYTES, SEAL_BYTES, Sealer } from './sealer.js';

/** Keys that may open one store. */
export const SLOTS_MAX = 16;
const SALT_BYTES = 32;
const PURPOSE = 'diffkeeper key slot';
/** Of a ring whose master key was rotated; without, 1. */
const FORMAT = 2;

export interface KeySlot {
  /** Counted up, never given again. */
  readonly id: number;
  readonly kind: KeyKind;
  /** ISO 8601 time. */
  readonly created: string;
  /** Hex. */
  readonly salt: string;
  /** Only of a passphrase. */
  readonly scrypt?: ScryptCost;
  /** Hex: the sealed master key. */
  readonly master: string;
}

export interface KeyRing {
  /** Store that the keys belong to, 32 hex digits. */
  readonly store: string;
  /** Number of the next slot. */
  readonly next: number;
  readonly slots: readonly KeySlot[];
  /** Of a store whose master key was rotated: all that follows from it has the number 0 without it. */
  readonly rotated?: RotatedKeys;
}

export interface RotatedKeys {
  /** Number of the master key in the slots, from 1 on. */
  readonly epoch: number;
  /** Master keys of before that are still needed, ascending. */
  readonly older: readonly OlderKey[];
}

export interface OlderKey {
  readonly epoch: number;
  /** Hex: the master key, sealed under the newest one. */
  readonly master: string;
}

export function newMasterKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

function boundTo(store: string): Buffer {
  return Buffer.from(`${PURPOSE}\0${store}`, 'utf8');
}

/** What seals the master key in a slot. Throws as `secretOf`. */
async function wrappingKey(key: StoreKey, slot: Pick<KeySlot, 'salt' | 'scrypt'>): Promise<Sealer> {
  const secret = await secretOf(key);
  const salt = Buffer.from(slot.salt, 'hex');
  return new Sealer(slot.scrypt ? await stretch(secret, salt, slot.scrypt) : derive(secret, salt, PURPOSE));
}

/** The ring with one more key. Throws DK_LIMIT, and as `secretOf`. */
export async function withSlot(ring: KeyRing, master: Buffer, key: StoreKey, nowMs: number): Promise<KeyRing> {
  if (ring.slots.length >= SLOTS_MAX) throw new DiffKeeperError('DK_LIMIT', `at most ${SLOTS_MAX} keys open a store`);
  const kind = kindOf(key);
  const salt = randomBytes(SALT_BYTES).toString('hex');
  const facts = { salt, ...(kind === 'passphrase' && { scrypt: newCost(key) }) };
  const sealed = (await wrappingKey(key, facts)).seal(master, boundTo(ring.store));
  const slot: KeySlot = {
    id: ring.next,
    kind,
    created: new Date(nowMs).toISOString(),
    ...facts,
    master: sealed.toString('hex'),
  };
  return { ...ring, next: ring.next + 1, slots: [...ring.slots, slot] };
}

/** The newest master key and the slot that gave it; null when the key fits none. */
export async function openRing(
  ring: KeyRing,
  key: StoreKey,
): Promise<{ readonly master: Buffer; readonly slot: number } | null> {
  for await (const { master, slot } of openedSlots(ring, key)) return { master, slot: slot.id };
  return null;
}

/** Every slot that a key opens. Throws as `secretOf`. */
export async function* openedSlots(
  ring: KeyRing,
  key: StoreKey,
): AsyncGenerator<{
  readonly slot: KeySlot;
  readonly master: Buffer;
  /** The same slot with another master key. */
  readonly withMaster: (master: Buffer) => KeySlot;
}> {
  for (const slot of ring.slots) {
    if (slot.kind !== kindOf(key)) continue;
    const wrapping = await wrappingKey(key, slot);
    const master = wrapping.open(Buffer.from(slot.master, 'hex'), boundTo(ring.store));
    const withMaster = (next: Buffer): KeySlot => ({
      ...slot,
      master: wrapping.seal(next, boundTo(ring.store)).toString('hex'),
    });
    if (master) yield { slot, master, withMaster };
  }
}

const digestOf = (json: string): string => createHash('sha256').update(json).digest('hex');

export function encodeRing(ring: KeyRing): Buffer {
  const json = JSON.stringify({ diffkeeper: 'keys', format: ring.rotated ? FORMAT : 1, ...ring });
  return Buffer.from(`${json}\n${digestOf(json)}\n`, 'utf8');
}

/** Null for bytes that are damaged, or whose numbers nobody should follow. Throws DK_STORE_FORMAT_NEWER. */
export function decodeRing(bytes: Uint8Array): KeyRing | null {
  const [json = '', digest = '', ...rest] = Buffer.from(bytes).toString('utf8').split('\n');
  if (rest.length !== 1 || digest !== digestOf(json)) return null;
  const value = parsed(json);
  if (value?.diffkeeper !== 'keys' || typeof value.format !== 'number') return null;
  if (value.format > FORMAT) {
    const message = `the key file has format ${value.format}, this program knows up to ${FORMAT}`;
    throw new DiffKeeperError('DK_STORE_FORMAT_NEWER', message, { expected: FORMAT, actual: value.format });
  }
  const { store, next, slots, rotated } = value;
  if (typeof store !== 'string' || !Number.isSafeInteger(next) || !Array.isArray(slots)) return null;
  if (slots.length > SLOTS_MAX || !slots.every((slot: unknown) => isSlot(slot))) return null;
  const ring = { store, next: next as number, slots: slots as readonly KeySlot[] };
  if (value.format < FORMAT) return rotated === undefined ? ring : null;
  return isRotated(rotated) ? { ...ring, rotated } : null;
}

function isRotated(value: unknown): value is RotatedKeys {
  if (typeof value !== 'object' || value === null) return false;
  const { epoch: newest, older } = value as Partial<RotatedKeys>;
  if (!isEpoch(newest) || newest === 0 || !Array.isArray(older) || older.length > newest) return false;
  // Ascending, and below the newest: none stands twice.
  let least = 0;
  return older.every((key: unknown) => {
    const { epoch, master } = (typeof key === 'object' && key !== null ? key : {}) as Partial<OlderKey>;
    if (!isEpoch(epoch) || epoch < least || epoch >= newest || !isHex(master, KEY_BYTES + SEAL_BYTES)) return false;
    least = epoch + 1;
    return true;
  });
}

function isEpoch(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < LIMITS.masterKeys;
}

function parsed(json: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    // Whoever made the digest fit did not write what we write.
    return null;
  }
}

function isHex(text: unknown, bytes: number): boolean {
  return typeof text === 'string' && text.length === 2 * bytes && /^[0-9a-f]*$/.test(text);
}

function isSlot(value: unknown): value is KeySlot {
  if (typeof value !== 'object' || value === null) return false;
  const { id, kind, created, salt, scrypt, master } = value as Partial<KeySlot>;
  if (!Number.isSafeInteger(id) || typeof created !== 'string') return false;
  if (!isHex(salt, SALT_BYTES) || !isHex(master, KEY_BYTES + SEAL_BYTES)) return false;
  if (kind === 'key-file') return scrypt === undefined;
  return kind === 'passphrase' && typeof scrypt === 'object' && scrypt !== null && isBoundedCost(scrypt);
}
