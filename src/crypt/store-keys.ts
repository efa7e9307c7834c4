/** The keys of one store, each for one purpose, all derived from its master key, or from one of several. */
import type { KeyObject } from 'node:crypto';
import { nodeCrypto } from '../core/core.js';
import { derive } from './key-source.js';
import { Sealer } from './sealer.js';

const SEED_BYTES = 16;

/** Keyed digests (HMAC-SHA-256): without the key nobody can tell of what. */
export class Namer {
  readonly #key: KeyObject;

  constructor(key: Buffer) {
    this.#key = nodeCrypto().createSecretKey(key);
  }

  /** 32 bytes. */
  name(bytes: Uint8Array): Buffer {
    return nodeCrypto().createHmac('sha256', this.#key).update(bytes).digest();
  }
}

export interface StoreKeys {
  /** Number of the master key that they are derived from. */
  readonly epoch: number;
  /** Those of the master keys before, by number; what stands may be sealed under them. */
  readonly older: ReadonlyMap<number, StoreKeys>;
  /** Records in packs. */
  readonly records: Sealer;
  /** Values of the metadata. */
  readonly index: Sealer;
  /** Caches. */
  readonly files: Sealer;
  /** Digests and names in keys of the metadata. */
  readonly names: Namer;
  /** Names and descriptions of caches. */
  readonly fileNames: Namer;
  /** 16 bytes, seed of the page hashes. */
  readonly seed: Buffer;
}

/**
 * Keys of the newest master key, with those of the others in `older`.
 *
 * @param masters by number, at least one
 * @param storeId 32 hex digits
 */
export function storeKeys(masters: ReadonlyMap<number, Buffer>, storeId: string): StoreKeys {
  const numbers = [...masters.keys()].sort((one, other) => one - other);
  const newest = numbers.pop() as number;
  const keysOf = (epoch: number) => keysOfOne(epoch, masters.get(epoch) as Buffer, storeId);
  return { ...keysOf(newest), older: new Map(numbers.map((epoch) => [epoch, keysOf(epoch)])) };
}

function keysOfOne(epoch: number, master: Buffer, storeId: string): StoreKeys {
  const salt = Buffer.from(storeId, 'hex');
  const key = (purpose: string): Buffer => derive(master, salt, `diffkeeper ${purpose}`);
  return {
    epoch,
    older: new Map(),
    records: new Sealer(key('records')),
    index: new Sealer(key('index')),
    files: new Sealer(key('files')),
    names: new Namer(key('names')),
    fileNames: new Namer(key('file names')),
    seed: key('page seed').subarray(0, SEED_BYTES),
  };
}
