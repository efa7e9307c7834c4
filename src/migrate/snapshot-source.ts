/** Schema 1 as this program keeps it, as a source for the migration to schema 2. Values are read when they are needed. */
import { type BytePath, DiffKeeperError, pathBytes } from '../core/core.js';
import type { SnapshotFacts, SnapshotStore } from '../store/store.js';
import type { BoltValue } from './bolt-page.js';
import type { LegacyItem, LegacySource } from './legacy-source.js';

export class SnapshotSource implements LegacySource {
  readonly schema = 1;
  readonly damage: readonly string[] = [];
  readonly valueBytes: number;
  readonly #store: SnapshotStore;
  readonly #files: readonly (readonly [BytePath, SnapshotFacts])[];

  constructor(store: SnapshotStore) {
    this.#store = store;
    this.#files = store.files();
    this.valueBytes = this.#files.reduce((total, [, { stored }]) => total + stored + 64, 0);
  }

  get path(): string {
    return this.#store.path;
  }

  get identity(): string {
    return `checkpoint ${this.#store.newest?.sequence ?? 0}`;
  }

  get tagSuffix(): string {
    return `, from snapshot ${this.#store.newest?.sequence ?? 0}`;
  }

  get timeNs(): bigint {
    return BigInt(Math.round(this.#store.newest?.timeMs ?? 0)) * 1_000_000n;
  }

  async *items(): AsyncGenerator<LegacyItem> {
    for (const [path, facts] of this.#files) {
      const gzips = [storedValue(facts.stored, () => this.#store.value(path))];
      const hashes = [memoryValue(Buffer.from(facts.digest.toString('hex'), 'latin1'))];
      yield { kind: 'entry', entry: { name: pathBytes(path), gzips, hashes, metas: [] } };
    }
  }

  contents(): Promise<readonly BoltValue[]> {
    return Promise.resolve([]);
  }

  contentsOf(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }

  manifest(): Promise<null> {
    return Promise.resolve(null);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

function storedValue(length: number, load: () => Promise<Buffer>): BoltValue {
  const value = async (): Promise<Buffer> => {
    const bytes = await load();
    if (bytes.length === length) return bytes;
    throw new DiffKeeperError('DK_CORRUPT_INDEX', `a snapshot has ${bytes.length} bytes, not ${length}`);
  };
  return {
    length,
    read: value,
    async *stream() {
      yield await value();
    },
  };
}

function memoryValue(bytes: Buffer): BoltValue {
  return {
    length: bytes.length,
    read: () => Promise.resolve(bytes),
    async *stream() {
      yield bytes;
    },
  };
}
