/**
 * BLAKE3 of bytes that come in any order: the value of every group of 64 KiB is kept (32 bytes each), and the root is made
 * of them at the end.
 */
import { availableParallelism } from 'node:os';
import type { Engine } from '../engine/engine.js';
import { GroupList } from './group-list.js';

/** What can be hashed by itself. Every piece that is sent begins at a multiple of it. */
export const GROUP_BYTES = 65536;
const VALUE_BYTES = 32;
/** With fewer cores, the sockets and the kernel need them all. */
const SPARE_CORES = 4;

/** The digest of a blob whose pieces come in any order. */
export interface PieceDigest {
  /**
   * Takes bytes from a group's beginning to a group's end or the end of all, each once. They must not change until it resolves.
   * `values`: what their frame was checked by, when that was made of the groups.
   */
  add(offset: number, bytes: Buffer, values?: Buffer): Promise<void> | void;
  /** After all bytes were added. */
  finish(): Buffer;
}

/**
 * Whether another thread had better hash. Handing a piece over costs as much again as hashing it where it is in the cache; 1 MiB
 * holds this thread up for 0.16 ms, but for longer than anybody may wait in plain TypeScript.
 */
function hashesElsewhere(engine: Engine): boolean {
  return engine.info.kind !== 'native' || availableParallelism() >= SPARE_CORES;
}

/**
 * Up to here the digest of a whole blob is made at once: another thread would take longer to hear of it than this one to make it,
 * and on a busy machine much longer.
 */
const AT_ONCE_BYTES_MAX = 64 << 10;
const AT_ONCE_BYTES_MAX_PLAIN = 4 << 10;

/** BLAKE3 of a blob in one piece; its bytes must not change until it is there. */
export function wholeDigest(engine: Engine, bytes: Buffer): Buffer | Promise<Buffer> {
  const most = engine.info.kind === 'native' ? AT_ONCE_BYTES_MAX : AT_ONCE_BYTES_MAX_PLAIN;
  return bytes.length <= most ? engine.digest('blake3', bytes) : engine.digestAsync('blake3', bytes);
}

export class BlobDigest implements PieceDigest {
  readonly #engine: Engine;
  readonly #elsewhere: boolean;
  /** Groups before the last, which goes into the root as bytes. */
  readonly #groups: number;
  readonly #list: GroupList;
  readonly #tailBytes: number;
  #tail: Buffer | undefined;

  constructor(engine: Engine, size: number, elsewhere = hashesElsewhere(engine)) {
    this.#engine = engine;
    this.#elsewhere = elsewhere;
    this.#groups = size === 0 ? 0 : Math.ceil(size / GROUP_BYTES) - 1;
    this.#list = new GroupList(this.#groups, VALUE_BYTES);
    this.#tailBytes = size - this.#groups * GROUP_BYTES;
    if (size === 0) this.#tail = Buffer.alloc(0);
  }

  async add(offset: number, bytes: Buffer): Promise<void> {
    const first = offset / GROUP_BYTES;
    const count = Math.min(this.#groups - first, Math.floor(bytes.length / GROUP_BYTES));
    if (bytes.length > count * GROUP_BYTES) this.#tail = Buffer.from(bytes.subarray(count * GROUP_BYTES));
    if (count === 0) return;
    const groups = bytes.subarray(0, count * GROUP_BYTES);
    const values = this.#elsewhere
      ? await this.#engine.groupValues(groups, first)
      : this.#engine.groupValuesSync(groups, first);
    this.#list.keep(first, count, values);
  }

  finish(): Buffer {
    const tail = this.#tail;
    if (!this.#list.whole || tail === undefined || tail.length !== this.#tailBytes) {
      throw new Error('digest of bytes that are not all here');
    }
    const parts = this.#list.parts();
    return this.#engine.rootOfGroups(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts), tail);
  }
}
