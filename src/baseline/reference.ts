/** States that later messages refer to, as an encoder or a decoder keeps them. */
import type { Engine, GroupDigestKind } from '../engine/engine.js';
import { copyAway, joinPieces } from './large-memory.js';
import { digestBytes } from './state-digest.js';
import type { StateDigest } from './state-types.js';

export interface Reference {
  readonly id: number;
  readonly digest: Buffer;
  readonly stateBytes: number;
  /** Segments that its digest was made of. */
  readonly segmentBytes: number;
  /** Memory that goes away with it. */
  readonly memoryBytes: number;
  /** 16 bytes per 4 KiB page, where only hashes are kept. */
  readonly pages?: Buffer;
  /** Bytes of a range inside the state; undefined when they are kept nowhere. Do not change them. */
  read(offset: number, length: number): Promise<Uint8Array | undefined>;
  /** As `read`, at once: undefined where that takes more than a view. */
  view?(offset: number, length: number): Uint8Array | undefined;
  /** Values of the groups of a range that begins where a segment does; empty when they are not known, or of another kind. */
  groups(kind: GroupDigestKind, offset: number, length: number): Uint8Array;
}

/** A reference whose bytes are all in memory. */
export class MemoryReference implements Reference {
  readonly id: number;
  readonly digest: Buffer;
  readonly stateBytes: number;
  readonly segmentBytes: number;
  readonly memoryBytes: number;
  readonly #engine: Engine;
  readonly #pieces: readonly Uint8Array[];
  readonly #groups: readonly Uint8Array[];
  readonly #kind: StateDigest | undefined;

  /** @param made `pieces`: each `segmentBytes` long but for the last. `groups`: one for each piece, or none, of `kind` */
  constructor(
    engine: Engine,
    facts: Pick<Reference, 'id' | 'digest' | 'stateBytes' | 'segmentBytes'>,
    made: {
      readonly pieces: readonly Uint8Array[];
      readonly groups: readonly Uint8Array[];
      readonly kind?: StateDigest;
    },
  ) {
    this.id = facts.id;
    this.digest = facts.digest;
    this.stateBytes = facts.stateBytes;
    this.segmentBytes = facts.segmentBytes;
    this.#engine = engine;
    this.#pieces = made.pieces;
    this.#groups = made.groups;
    this.#kind = made.kind;
    this.memoryBytes = facts.stateBytes + made.groups.reduce((sum, one) => sum + one.length, 0);
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let at = offset;
    while (at < offset + length) {
      const index = Math.floor(at / this.segmentBytes);
      const piece = this.#pieces[index];
      if (piece === undefined) throw new RangeError('a range leaves the state');
      const from = at - index * this.segmentBytes;
      const part = piece.subarray(from, from + offset + length - at);
      parts.push(part);
      at += part.length;
    }
    return joinPieces(this.#engine, parts);
  }

  view(offset: number, length: number): Uint8Array | undefined {
    const index = Math.floor(offset / this.segmentBytes);
    const from = offset - index * this.segmentBytes;
    const view = this.#pieces[index]?.subarray(from, from + length);
    return view?.length === length ? view : undefined;
  }

  groups(kind: GroupDigestKind, offset: number, length: number): Uint8Array {
    if (kind !== this.#kind || offset % this.segmentBytes !== 0 || length > this.segmentBytes) return NO_BYTES;
    // Values of a shorter range are the first ones of the longer: groups do not depend on what follows.
    return (this.#groups[offset / this.segmentBytes] ?? NO_BYTES).subarray(0, groupCount(length) * digestBytes(kind));
  }
}

/** Full 64 KiB groups before the last bytes of so many. */
function groupCount(bytes: number): number {
  return bytes === 0 ? 0 : Math.floor((bytes - 1) / GROUP_BYTES);
}

const GROUP_BYTES = 64 << 10;
const NO_BYTES = new Uint8Array(0);

/** A reference of which only page hashes are in memory; bytes come from where `bytesOf` finds them, if anywhere. */
export function pageReference(
  facts: { readonly id: number; readonly digest: Buffer; readonly stateBytes: number; readonly segmentBytes: number },
  pages: Buffer,
  bytesOf: Reference['read'],
): Reference {
  return { ...facts, pages, memoryBytes: pages.length, read: bytesOf, groups: () => NO_BYTES };
}

/** Copies a state while it goes by, unless it turns out longer than `bytesMax`. */
export class ReferenceCopy {
  readonly #engine: Engine;
  readonly #segmentBytes: number;
  readonly #bytesMax: number;
  readonly #room: Buffer | undefined;
  #pieces: Uint8Array[] = [];
  #groups: Uint8Array[] = [];
  #bytes = 0;
  #gone = false;
  readonly #kind: StateDigest;

  constructor(options: {
    /** Of the values that come along. */
    readonly kind: StateDigest;
    readonly engine: Engine;
    readonly segmentBytes: number;
    readonly stateBytes: number | undefined;
    readonly bytesMax: number;
  }) {
    this.#engine = options.engine;
    this.#kind = options.kind;
    this.#segmentBytes = options.segmentBytes;
    this.#bytesMax = options.bytesMax;
    if (options.stateBytes !== undefined) {
      if (options.stateBytes > options.bytesMax) this.#gone = true;
      // One piece of memory, so that ranges over a seam are views, too.
      else if (options.stateBytes > options.segmentBytes) this.#room = roomFor(options.engine, options.stateBytes);
    }
  }

  /** Whether each segment is copied into memory of its own. */
  get apart(): boolean {
    return this.#room === undefined && !this.#gone;
  }

  /** @param from `owned`: nobody else will change these bytes, so that they need no copy. `copy`: one that was made already */
  async append(
    segment: Uint8Array,
    groups: Uint8Array,
    from: { readonly owned: boolean; readonly copy: Buffer | undefined },
  ): Promise<void> {
    if (this.#gone) return;
    if (this.#bytes + segment.length > this.#bytesMax) {
      this.#gone = true;
      this.#pieces = [];
      this.#groups = [];
      return;
    }
    // One empty view for all: small states have none, and there may be millions of them.
    this.#groups.push(groups.length === 0 ? NO_BYTES : groups);
    const at = this.#bytes;
    this.#bytes += segment.length;
    if (this.#room === undefined) {
      this.#pieces.push(from.owned ? segment : (from.copy ?? (await this.#engine.copyBytes(segment))));
      return;
    }
    const copy = this.#room.subarray(at, at + segment.length);
    this.#pieces.push(copy);
    await copyAway(this.#engine, copy, segment);
  }

  /** Undefined when the state was too long. */
  finish(id: number, digest: Buffer): MemoryReference | undefined {
    if (this.#gone) return undefined;
    const facts = { id, digest, stateBytes: this.#bytes, segmentBytes: this.#segmentBytes };
    return new MemoryReference(this.#engine, facts, { pieces: this.#pieces, groups: this.#groups, kind: this.#kind });
  }
}

function roomFor(engine: Engine, bytes: number): Buffer | undefined {
  return bytes < 2 ** 32 ? engine.createRoom(bytes) : undefined;
}
