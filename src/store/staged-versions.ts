/**
 * The versions of a checkpoint in the making, encoded as they come: an object for each would take ten times the
 * memory, and a first capture has one for every name of the tree.
 *
 *   chunk := (u32 body bytes, body)*          place := chunk number * 2^32 + offset in the chunk
 */
import { type BytePath, pathParent } from '../core/core.js';
import {
  ByteReader,
  ByteWriter,
  decodeVersionBody,
  type EncodedVersion,
  encodedVersionBytes,
  encodeVersionBody,
  type Version,
  type VersionType,
} from '../format/format.js';

const CHUNK_BYTES = 1 << 20;
/** The first chunk; each further one has twice the room: most checkpoints have few versions, and many are made. */
const FIRST_CHUNK_BYTES = 16 << 10;
const CHUNK_STEP = 2 ** 32;

export class StagedVersions {
  readonly sequence: number;
  readonly #places = new Map<BytePath, number>();
  readonly #chunks: Buffer[] = [];
  readonly #writer = new ByteWriter(512);
  /** Bytes used of the last chunk. */
  #used = 0;

  constructor(sequence: number) {
    this.sequence = sequence;
  }

  /** All of these versions, the last one of a path counting. */
  static of(sequence: number, versions: Iterable<Version>): StagedVersions {
    const staged = new StagedVersions(sequence);
    for (const version of versions) staged.put(version);
    return staged;
  }

  get size(): number {
    return this.#places.size;
  }

  /** Replaces an earlier one of the same path. */
  put(version: Version): void {
    encodeVersionBody(this.#writer.restart(), version);
    this.#places.set(version.path, this.#keep(this.#writer.finish()));
  }

  #keep(body: Buffer): number {
    const bytes = 4 + body.length;
    let chunk = this.#chunks[this.#chunks.length - 1];
    if (!chunk || this.#used + bytes > chunk.length) {
      const room = Math.min(CHUNK_BYTES, FIRST_CHUNK_BYTES * 2 ** this.#chunks.length);
      chunk = Buffer.allocUnsafeSlow(Math.max(room, bytes));
      this.#chunks.push(chunk);
      this.#used = 0;
    }
    const at = this.#used;
    chunk.writeUInt32LE(body.length, at);
    chunk.set(body, at + 4);
    this.#used += bytes;
    return (this.#chunks.length - 1) * CHUNK_STEP + at;
  }

  #body(place: number): Buffer {
    const chunk = this.#chunks[Math.floor(place / CHUNK_STEP)] as Buffer;
    const at = place % CHUNK_STEP;
    return chunk.subarray(at + 4, at + 4 + chunk.readUInt32LE(at));
  }

  #decode(path: BytePath, place: number): Version {
    const reader = new ByteReader(this.#body(place), 'DK_CORRUPT_RECORD', 'staged version');
    return decodeVersionBody(reader, path, this.sequence);
  }

  get(path: BytePath): Version | undefined {
    const place = this.#places.get(path);
    return place === undefined ? undefined : this.#decode(path, place);
  }

  /** Paths and types, without decoding. */
  *types(): Generator<readonly [BytePath, VersionType]> {
    for (const [path, place] of this.#places) yield [path, this.#body(place)[0] as VersionType];
  }

  /** Decoded versions in lists of at most `count`. */
  *batches(count: number): Generator<Version[]> {
    let batch: Version[] = [];
    for (const [path, place] of this.#places) {
      batch.push(this.#decode(path, place));
      if (batch.length < count) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  }

  /** Paths by parent directory, then name: what belongs together compresses together. */
  sortedPaths(): BytePath[] {
    const byParent = new Map<BytePath, BytePath[]>();
    for (const path of this.#places.keys()) {
      const parent = pathParent(path);
      const known = byParent.get(parent);
      if (known) known.push(path);
      else byParent.set(parent, [path]);
    }
    // One-byte strings sort as their bytes do; with one parent, paths sort as their names.
    const parents = [...byParent.keys()].sort();
    return parents.flatMap((parent) => byParent.get(parent)?.sort() ?? []);
  }

  /** Encoded versions of these paths, in lists that fill a record of at most `bytesMax` (or hold a single one). */
  *records(paths: readonly BytePath[], bytesMax: number): Generator<EncodedVersion[]> {
    let part: EncodedVersion[] = [];
    let bytes = 16;
    for (const path of paths) {
      const body = this.#body(this.#places.get(path) as number);
      const encoded = { path, type: body[0] as VersionType, body };
      const size = encodedVersionBytes(encoded);
      if (part.length > 0 && bytes + size > bytesMax) {
        yield part;
        part = [];
        bytes = 16;
      }
      part.push(encoded);
      bytes += size;
    }
    if (part.length > 0) yield part;
  }
}
