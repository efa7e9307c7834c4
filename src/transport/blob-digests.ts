/** Which digest guards a blob of a session, and how it is made. */
import type { Engine } from '../engine/engine.js';
import { BlobDigest, type PieceDigest, wholeDigest } from './blob-digest.js';
import { LIST_DIGEST_BYTES, ListDigest, listDigest } from './list-digest.js';
import type { BlobSource, DigestKind } from './types.js';

const BLAKE3_BYTES = 32;

/** Length of such a digest. */
export function digestBytesOf(kind: DigestKind): number {
  return kind === 'xxh3' ? LIST_DIGEST_BYTES : BLAKE3_BYTES;
}

/** Gives it back when it is one. Throws RangeError. */
export function checkDigest(kind: DigestKind): DigestKind {
  if (kind !== 'blake3' && kind !== 'xxh3') throw new RangeError(`digest must be 'blake3' or 'xxh3', not ${kind}`);
  return kind;
}

export class BlobDigests {
  readonly #engine: Engine;
  readonly #seed: bigint | undefined;

  /** @param seed of this session's quick digests; undefined: both sides use BLAKE3 alone */
  constructor(engine: Engine, seed: bigint | undefined) {
    this.#engine = engine;
    this.#seed = seed;
  }

  /** Whether quick digests may be used in this session. */
  get quick(): boolean {
    return this.#seed !== undefined;
  }

  /** What a blob that is sent goes by: a digest that is known is BLAKE3. */
  kindOf(blob: BlobSource, wanted: DigestKind | undefined): DigestKind {
    return this.quick && blob.digest === undefined && wanted === 'xxh3' ? 'xxh3' : 'blake3';
  }

  begin(kind: DigestKind, size: number): PieceDigest {
    return kind === 'xxh3' ? new ListDigest(this.#engine, this.#given(), size) : new BlobDigest(this.#engine, size);
  }

  /** The digest of a blob in one piece; its bytes must not change until it is there. */
  whole(kind: DigestKind, bytes: Buffer): Buffer | Promise<Buffer> {
    return kind === 'xxh3' ? listDigest(this.#engine, this.#given(), bytes) : wholeDigest(this.#engine, bytes);
  }

  /** Values of the groups of a piece, which make the check of its frame and its part of the digest. */
  groupValues(bytes: Buffer): Buffer {
    return this.#engine.xxh3Groups(bytes, this.#given());
  }

  /** The check of a frame by the values of its groups. */
  check(values: Buffer): bigint {
    return this.#engine.xxh3(values);
  }

  #given(): bigint {
    if (this.#seed === undefined) throw new Error('this session has no quick digests');
    return this.#seed;
  }
}
