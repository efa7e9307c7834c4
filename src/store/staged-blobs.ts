/** Blobs that a transaction stored and the index does not have yet: in columns, as there may be one per file. */
import type { Digest } from '../format/format.js';
import { encodeBlobInfo, type IndexedBlob } from './blob-index.js';
import type { MetaChange } from './meta.js';
import { blobKey, KEY_LETTER } from './meta-keys.js';
import type { BlobInfo } from './types.js';

const COLUMNS = 6;
const CHUNK_ROWS = 4096;

export class StagedBlobs {
  /** Digest as one-byte text -> row. */
  readonly #rows = new Map<string, number>();
  /** `CHUNK_ROWS` rows each, of `COLUMNS` numbers: pack, offset, record bytes, decoded bytes, depth, kind. */
  readonly #chunks: Float64Array[] = [];

  get size(): number {
    return this.#rows.size;
  }

  has(digest: Digest): boolean {
    return this.#rows.has(digest.toString('latin1'));
  }

  /** As it will stand in the index. */
  get(digest: Digest): IndexedBlob | undefined {
    const row = this.#rows.get(digest.toString('latin1'));
    return row === undefined ? undefined : this.#at(row, digest);
  }

  /** What the index will say of this key; undefined for keys of anything else. */
  value(key: Buffer): Buffer | undefined {
    const info = key[0] === KEY_LETTER.blob ? this.get(key.subarray(1)) : undefined;
    return info && encodeBlobInfo(info, info.kind);
  }

  #at(row: number, digest: Digest): IndexedBlob {
    const at = (row % CHUNK_ROWS) * COLUMNS;
    const chunk = this.#chunks[Math.floor(row / CHUNK_ROWS)] as Float64Array;
    const [pack = 0, offset = 0, recordBytes = 0, decodedBytes = 0, depth = 0, kind = 0] = chunk.subarray(
      at,
      at + COLUMNS,
    );
    return { digest, pack, offset, recordBytes, decodedBytes, depth, kind };
  }

  /** Each blob once. */
  add(info: BlobInfo, kind: number): void {
    const { pack, offset, recordBytes, decodedBytes, depth } = info;
    const row = this.#rows.size;
    this.#rows.set(info.digest.toString('latin1'), row);
    if (row % CHUNK_ROWS === 0) this.#chunks.push(new Float64Array(CHUNK_ROWS * COLUMNS));
    const facts = [pack, offset, recordBytes, decodedBytes, depth, kind];
    this.#chunks[this.#chunks.length - 1]?.set(facts, (row % CHUNK_ROWS) * COLUMNS);
  }

  /** Index entries, in the order in which the blobs were stored. */
  *changes(): Generator<MetaChange> {
    for (const [text, row] of this.#rows) {
      const digest = Buffer.from(text, 'latin1');
      const info = this.#at(row, digest);
      yield { key: blobKey(digest), value: encodeBlobInfo(info, info.kind) };
    }
  }
}
