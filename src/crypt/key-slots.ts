/**
 * The file `KEYS` of an encrypted store: its master key, wrapped once per key that opens the store. The master key never
 * changes, so that keys come and go without any other byte being written again.
 *
 *   file := JSON, newline, SHA-256 of the JSON in hex, newline
 */
import { createHash, DiffKeeperError, randomBytes } from '../core/core.js';
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
}

export function newMasterKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

function boundTo(store: string): Buffer {
  return Buffer.from(`${PURPOSE}\0${store}`, 'utf8');
}

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

/** The master key and the slot that gave it; null when the key fits none. */
export async function openRing(
  ring: KeyRing,
  key: StoreKey,
): Promise<{ readonly master: Buffer; readonly slot: number } | null> {
  for (const slot of ring.slots) {
    if (slot.kind !== kindOf(key)) continue;
    const master = (await wrappingKey(key, slot)).open(Buffer.from(slot.master, 'hex'), boundTo(ring.store));
    if (master) return { master, slot: slot.id };
  }
  return null;
}

const digestOf = (json: string): string => createHash('sha256').update(json).digest('hex');

export function encodeRing(ring: KeyRing): Buffer {
  const json = JSON.stringify({ diffkeeper: 'keys', format: 1, ...ring });
  return Buffer.from(`${json}\n${digestOf(json)}\n`, 'utf8');
}

/** Null for bytes that are damaged, or whose numbers nobody should follow. Throws DK_STORE_FORMAT_NEWER. */
export function decodeRing(bytes: Uint8Array): KeyRing | null {
  const [json = '', digest = '', ...rest] = Buffer.from(bytes).toString('utf8').split('\n');
  if (rest.length !== 1 || digest !== digestOf(json)) return null;
  const value = parsed(json);
  if (value?.diffkeeper !== 'keys' || typeof value.format !== 'number') return null;
  if (value.format > 1) {
    const message = `the key file has format ${value.format}, this program knows 1`;
    throw new DiffKeeperError('DK_STORE_FORMAT_NEWER', message, { expected: 1, actual: value.format });
  }
  const { store, next, slots } = value;
  if (typeof store !== 'string' || !Number.isSafeInteger(next) || !Array.isArray(slots)) return null;
  const fits = slots.length <= SLOTS_MAX && slots.every((slot: unknown) => isSlot(slot));
  return fits ? { store, next: next as number, slots: slots as readonly KeySlot[] } : null;
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
