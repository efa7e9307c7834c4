/**
 * BLAKE3 of bytes that come in any order: the value of every group of 64 KiB is kept (32 bytes each, in pieces that are
 * made when they are needed, since the size is only somebody's word), and the root is made of them at the end.
 */
import { availableParallelism } from 'node:os';
import type { Engine } from '../engine/engine.js';

/** What can be hashed by itself. Every piece that is sent begins at a multiple of it. */
export const GROUP_BYTES = 65536;
const VALUE_BYTES = 32;
/** With fewer cores, the sockets and the kernel need them all. */
const SPARE_CORES = 4;
/** Values in one piece of memory: those of 128 MiB. */
const SEGMENT_GROUPS = 2048;

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

export class BlobDigest {
  readonly #engine: Engine;
  readonly #elsewhere: boolean;
  /** Groups before the last, which goes into the root as bytes. */
  readonly #groups: number;
  readonly #segments = new Map<number, Buffer>();
  readonly #tailBytes: number;
  #tail: Buffer | undefined;

  constructor(engine: Engine, size: number, elsewhere = hashesElsewhere(engine)) {
    this.#engine = engine;
    this.#elsewhere = elsewhere;
    this.#groups = size === 0 ? 0 : Math.ceil(size / GROUP_BYTES) - 1;
    this.#tailBytes = size - this.#groups * GROUP_BYTES;
    if (size === 0) this.#tail = Buffer.alloc(0);
  }

  /** Takes bytes from a group's beginning to a group's end or the end of all. They must not change until it resolves. */
  async add(offset: number, bytes: Buffer): Promise<void> {
    const first = offset / GROUP_BYTES;
    const count = Math.min(this.#groups - first, Math.floor(bytes.length / GROUP_BYTES));
    if (bytes.length > count * GROUP_BYTES) this.#tail = Buffer.from(bytes.subarray(count * GROUP_BYTES));
    if (count === 0) return;
    const groups = bytes.subarray(0, count * GROUP_BYTES);
    const values = this.#elsewhere
      ? await this.#engine.groupValues(groups, first)
      : this.#engine.groupValuesSync(groups, first);
    for (let index = 0; index < count; index += 1) this.#keep(first + index, values, index);
  }

  #keep(group: number, values: Buffer, index: number): void {
    const number = Math.floor(group / SEGMENT_GROUPS);
    let segment = this.#segments.get(number);
    if (segment === undefined) {
      const left = this.#groups - number * SEGMENT_GROUPS;
      segment = Buffer.alloc(Math.min(left, SEGMENT_GROUPS) * VALUE_BYTES);
      this.#segments.set(number, segment);
    }
    values.copy(segment, (group % SEGMENT_GROUPS) * VALUE_BYTES, index * VALUE_BYTES, (index + 1) * VALUE_BYTES);
  }

  /** After all bytes were added. */
  finish(): Buffer {
    const segments: Buffer[] = [];
    for (let number = 0; number * SEGMENT_GROUPS < this.#groups; number += 1) {
      const segment = this.#segments.get(number);
      if (segment !== undefined) segments.push(segment);
    }
    const tail = this.#tail;
    if (tail === undefined || tail.length !== this.#tailBytes) throw new Error('digest of bytes that are not all here');
    return this.#engine.rootOfGroups(segments.length === 1 ? (segments[0] as Buffer) : Buffer.concat(segments), tail);
  }
}
