/** The keys of one store, each for one purpose, all derived from its master key. */
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

/** @param storeId 32 hex digits */
export function storeKeys(master: Buffer, storeId: string): StoreKeys {
  const salt = Buffer.from(storeId, 'hex');
  const key = (purpose: string): Buffer => derive(master, salt, `diffkeeper ${purpose}`);
  return {
    records: new Sealer(key('records')),
    index: new Sealer(key('index')),
    files: new Sealer(key('files')),
    names: new Namer(key('names')),
    fileNames: new Namer(key('file names')),
    seed: key('page seed').subarray(0, SEED_BYTES),
  };
}
