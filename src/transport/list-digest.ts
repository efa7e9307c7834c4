/**
 * The quick digest of a blob (docs/format-transport.md): XXH3-128 of the list of XXH3-128 values of its groups of 64 KiB.
 *
 *   "DKXXH3L1" | size u64 | value of each group, 16 bytes
 *
 * The same values make the check of a frame, so the bytes are looked at once at either end. It finds damage, in any order of
 * arrival; the seed, which both sides draw from the secret of their session, keeps whoever writes the bytes from preparing two
 * that look alike.
 */
import { type Engine, quickListHead } from '../engine/engine.js';
import { GROUP_BYTES, type PieceDigest } from './blob-digest.js';
import { GroupList } from './group-list.js';

/** Length of the digest, and of the value of a group. */
export const LIST_DIGEST_BYTES = 16;

function digestOf(engine: Engine, seed: bigint, size: number, values: readonly Buffer[]): Buffer {
  return engine.xxh3Wide(Buffer.concat([quickListHead(size), ...values]), seed);
}

/** The digest of a blob in one piece. */
export function listDigest(engine: Engine, seed: bigint, bytes: Buffer): Buffer {
  return digestOf(engine, seed, bytes.length, [engine.xxh3Groups(bytes, seed)]);
}

export class ListDigest implements PieceDigest {
  readonly #engine: Engine;
  readonly #seed: bigint;
  readonly #size: number;
  readonly #list: GroupList;

  constructor(engine: Engine, seed: bigint, size: number) {
    this.#engine = engine;
    this.#seed = seed;
    this.#size = size;
    this.#list = new GroupList(Math.ceil(size / GROUP_BYTES), LIST_DIGEST_BYTES);
  }

  add(offset: number, bytes: Buffer, values = this.#engine.xxh3Groups(bytes, this.#seed)): void {
    this.#list.keep(offset / GROUP_BYTES, values.length / LIST_DIGEST_BYTES, values);
  }

  finish(): Buffer {
    if (!this.#list.whole) throw new Error('digest of bytes that are not all here');
    return digestOf(this.#engine, this.#seed, this.#size, this.#list.parts());
  }
}
