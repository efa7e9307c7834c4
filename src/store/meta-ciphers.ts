/** Which of several master keys a database of metadata was sealed under: all of it under one, and the values tell. */
import { isDiffKeeperError } from '../core/core.js';
import type { StoreKeys } from '../crypt/crypt.js';
import { IndexCipher } from './index-cipher.js';
import { NEWEST_KEY } from './meta-keys.js';

/** Values that are tried before a database counts as damaged: then it is no matter which key it had. */
const TRIES = 64;

/** For the metadata of a store, whichever of its master keys it is under: the newest first. */
export function ciphersOf(keys: StoreKeys): IndexCipher[] {
  const older = [...keys.older.values()].sort((one, other) => other.epoch - one.epoch);
  return [keys, ...older].map((one) => new IndexCipher(one));
}

/** What of a database is looked at; throws as it does. */
interface Looked {
  get(key: Buffer): Promise<Buffer | undefined>;
  first(count: number): Promise<[Buffer, Buffer][]>;
}

export class MetaCiphers {
  /** Empty for a store that is not encrypted. */
  #all: readonly IndexCipher[] = [];

  /** @param ciphers the newest first */
  use(ciphers: readonly IndexCipher[]): void {
    this.#all = ciphers;
  }

  /** For a database that is begun. */
  get newest(): IndexCipher | null {
    return this.#all[0] ?? null;
  }

  /** For one that stands. */
  async of(database: Looked): Promise<IndexCipher | null> {
    if (this.#all.length < 2) return this.newest;
    const newest = await unlessDamaged(() => database.get(NEWEST_KEY));
    const known = newest && this.#opening(NEWEST_KEY, newest);
    if (known) return known;
    for (const [stored, value] of (await unlessDamaged(() => database.first(TRIES))) ?? []) {
      const cipher = this.#opening(stored, value);
      if (cipher) return cipher;
    }
    return this.newest;
  }

  #opening(stored: Buffer, sealed: Buffer): IndexCipher | undefined {
    return this.#all.find((cipher) => cipher.open(stored, sealed) !== null);
  }
}

/** What is damaged is told to whoever reads it in earnest. */
async function unlessDamaged<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) return undefined;
    throw error;
  }
}
