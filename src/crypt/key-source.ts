/** What opens an encrypted store, and how a key that wraps another one is made of it. */
import { open } from 'node:fs/promises';
import { DiffKeeperError, fromSystemError, nodeCrypto } from '../core/core.js';
import { KEY_BYTES } from './sealer.js';

/** Opens an encrypted store. A text is taken as UTF-8. */
export type StoreKey =
  | {
      readonly passphrase: string | Uint8Array;
      /** For new key slots: base-2 logarithm of scrypt's cost N, 12 to 20. Default 17: 128 MiB and about half a second. */
      readonly cost?: number;
    }
  /** File that holds a passphrase, without the line end that may stand behind it. */
  | { readonly passphraseFile: string }
  /** File of 32 to 4096 secret bytes, all of which count. */
  | { readonly keyFile: string }
  /** What such a file would hold. */
  | { readonly keyBytes: Uint8Array };

export type KeyKind = 'passphrase' | 'key-file';

/** Parameters of scrypt as they are stored. */
export interface ScryptCost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

const COST = { default: 17, min: 12, max: 20 } as const;
/** What is read from a store is bounded before memory is taken for it: at most 1 GiB, and not for minutes. */
const R_MAX = 8;
const P_MAX = 4;
export const KEY_FILE_BYTES = { min: 32, max: 4096 } as const;
const PASSPHRASE_BYTES = { min: 1, max: 4096 } as const;

export function kindOf(key: StoreKey): KeyKind {
  return 'passphrase' in key || 'passphraseFile' in key ? 'passphrase' : 'key-file';
}

/** Parameters for a new slot. Throws RangeError. */
export function newCost(key: StoreKey): ScryptCost {
  const logN = ('passphrase' in key ? key.cost : undefined) ?? COST.default;
  if (!Number.isInteger(logN) || logN < COST.min || logN > COST.max) {
    throw new RangeError(`cost must be a whole number from ${COST.min} to ${COST.max}, came ${logN}`);
  }
  return { logN, r: 8, p: 1 };
}

/** Whether parameters read from a store may be carried out. */
export function isBoundedCost({ logN, r, p }: ScryptCost): boolean {
  const within = (value: number, min: number, max: number) => Number.isInteger(value) && value >= min && value <= max;
  return within(logN, COST.min, COST.max) && within(r, 1, R_MAX) && within(p, 1, P_MAX);
}

/** The secret bytes themselves. Throws TypeError, DK_ARGUMENT for a wrong length, DK_IO. */
export async function secretOf(key: StoreKey): Promise<Buffer> {
  if ('passphrase' in key) return checked(Buffer.from(key.passphrase), 'the passphrase', PASSPHRASE_BYTES);
  if ('keyBytes' in key) return checked(Buffer.from(key.keyBytes), 'keyBytes', KEY_FILE_BYTES);
  if ('passphraseFile' in key) {
    const line = await readSecret(key.passphraseFile, PASSPHRASE_BYTES.max + 2);
    const end = line[line.length - 1] !== 0x0a ? 0 : line[line.length - 2] === 0x0d ? 2 : 1;
    return checked(line.subarray(0, line.length - end), `the passphrase in ${key.passphraseFile}`, PASSPHRASE_BYTES);
  }
  if (!('keyFile' in key)) throw new TypeError('key must have a passphrase, passphraseFile, keyFile or keyBytes');
  return checked(await readSecret(key.keyFile, KEY_FILE_BYTES.max), `the key in ${key.keyFile}`, KEY_FILE_BYTES);
}

/** At most one byte more than allowed: whoever gives another file by mistake need not wait for all of it. */
async function readSecret(file: string, bytesMax: number): Promise<Buffer> {
  try {
    const handle = await open(file, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytesMax + 1), 0, bytesMax + 1, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fromSystemError(error, 'read', file);
  }
}

function checked(bytes: Buffer, name: string, { min, max }: { readonly min: number; readonly max: number }): Buffer {
  if (bytes.length >= min && bytes.length <= max) return bytes;
  const message = `${name} must have ${min} to ${max} bytes, it has ${bytes.length > max ? 'more' : bytes.length}`;
  throw new DiffKeeperError('DK_ARGUMENT', message);
}

/** A passphrase can be guessed, so that each guess is made dear; off the event loop. */
export function stretch(secret: Buffer, salt: Buffer, cost: ScryptCost): Promise<Buffer> {
  const N = 2 ** cost.logN;
  const { r, p } = cost;
  const options = { N, r, p, maxmem: 128 * r * (N + p + 2) + (1 << 20) };
  return new Promise((resolve, reject) => {
    nodeCrypto().scrypt(secret, salt, KEY_BYTES, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

/** A key for one purpose, from secret bytes that nobody can guess. */
export function derive(secret: Uint8Array, salt: Uint8Array, purpose: string): Buffer {
  return Buffer.from(nodeCrypto().hkdfSync('sha256', secret, salt, purpose, KEY_BYTES));
}
