/**
 * A dense pack, read as the plain pack that it stands for: whoever reads it asks for bytes of that. See docs/format.md,
 * section 12.
 */
import type { FileHandle } from 'node:fs/promises';
import { isDiffKeeperError, LIMITS, readFully, systemClock } from '../core/core.js';
import {
  type ChainPlace,
  CODEC,
  type Engine,
  type GroupStretch,
  type HashAlgo,
  type OpenedGroup,
} from '../engine/engine.js';
import {
  type DenseGroup,
  decodeGroup,
  decodeRecord,
  type GroupHome,
  homeBytes,
  PACK_HEADER_BYTES,
  UnfoldedGroup,
} from '../format/format.js';
import { lowerBound } from './lower-bound.js';
import { askAgain, isUnreadable } from './unreadable-blocks.js';

/** A group that could not be read is not tried again for so long, ms. */
const FAILED_MS = 10_000;

const NOTHING: GroupStretch = { from: 0, length: 0 };

/** Takes a stretch of a pack that the disk does not give. */
export type LostBytes = (offset: number, bytes: number) => void;

export interface DenseParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly home: GroupHome;
  readonly opened: OpenGroups;
}

/** Groups of all packs of a store that were decompressed last. */
export class OpenGroups {
  /** By what the open file says of them: one that is opened again has others. */
  readonly #groups = new Map<DenseGroup, Promise<OpenedGroup | null>>();

  /** @param read gives null for a damaged one */
  take(key: DenseGroup, read: () => Promise<OpenedGroup | null>): Promise<OpenedGroup | null> {
    const group = this.#groups.get(key) ?? read();
    this.#groups.delete(key);
    this.#groups.set(key, group);
    // What the disk does not give now it may give the next time.
    group.catch(() => this.#groups.delete(key));
    if (this.#groups.size > LIMITS.denseGroupsOpen) this.#groups.delete(this.#groups.keys().next().value as DenseGroup);
    return group;
  }

  /** It is damaged where it had not been looked at before. */
  refuse(key: DenseGroup): void {
    if (this.#groups.has(key)) this.#groups.set(key, Promise.resolve(null));
  }

  clear(): void {
    this.#groups.clear();
  }
}

export class DensePack {
  readonly #parts: DenseParts;
  /** Groups that could not be read. */
  readonly #failed = new Map<DenseGroup, { readonly error: unknown; readonly untilMs: number }>();
  /** What is being made ready in groups. */
  readonly #fetching = new WeakMap<OpenedGroup, Promise<boolean>>();
  readonly #handle: FileHandle;
  readonly #header: Buffer;
  /** In the order of what they stand for; those that are damaged may be missing. */
  readonly #groups: readonly DenseGroup[];
  /** Bytes of the plain pack; one more than is known where what it ended with is lost, so that whoever reads it finds damage there. */
  readonly length: number;

  constructor(parts: DenseParts, { handle, header, groups, short }: DenseFile) {
    this.#parts = parts;
    this.#handle = handle;
    this.#header = header;
    this.#groups = groups;
    const last = groups[groups.length - 1];
    this.length = (last ? last.offset + last.bytes : PACK_HEADER_BYTES) + Number(short);
  }

  /**
   * Bytes of the plain pack, fewer at its end; zeros for those of a damaged group. Throws DK_IO when the disk does not
   * give them.
   *
   * @param lost zeros for what the disk does not give as well, which is told to it
   */
  async read(offset: number, into: Buffer, lost?: LostBytes): Promise<number> {
    const end = Math.min(offset + into.length, this.length);
    if (end <= offset) return 0;
    into.fill(0, 0, end - offset);
    if (offset < this.#header.length) this.#header.copy(into, 0, offset, Math.min(end, PACK_HEADER_BYTES));
    for (const group of this.groupsOf(offset, end - offset)) {
      const from = Math.max(offset, group.offset) - group.offset;
      const length = Math.min(end, group.offset + group.bytes) - group.offset - from;
      const unfolded = await this.#openOr(group, { from, length }, lost);
      const at = group.offset + from - offset;
      if (unfolded) await this.#copy(unfolded, group, { from, into: into.subarray(at, at + length) });
    }
    return end - offset;
  }

  /** Zeros stay where the group turns out to be damaged. */
  async #copy(
    unfolded: OpenedGroup,
    group: DenseGroup,
    { from, into }: { readonly from: number; readonly into: Buffer },
  ): Promise<void> {
    while (!unfolded.copy(from, into)) {
      // One at a time: what others wait for may be there then, and each decodes the group from its beginning.
      const pending = this.#fetching.get(unfolded) ?? this.#fetch(unfolded, from, into.length);
      if (await pending) continue;
      this.#parts.opened.refuse(group);
      return;
    }
  }

  #fetch(unfolded: OpenedGroup, from: number, length: number): Promise<boolean> {
    const fetching = unfolded.fetch(from, length).finally(() => this.#fetching.delete(unfolded));
    this.#fetching.set(unfolded, fetching);
    return fetching;
  }

  /** Groups that stand for any of these bytes. */
  groupsOf(offset: number, bytes: number): DenseGroup[] {
    const found: DenseGroup[] = [];
    for (let index = this.#find(offset); index < this.#groups.length; index += 1) {
      const group = this.#groups[index] as DenseGroup;
      if (group.offset >= offset + bytes) break;
      found.push(group);
    }
    return found;
  }

  /**
   * Where bytes of the plain pack stand in the file: the groups that stand for them; without one, what is between those
   * beside them.
   */
  async fileStretches(offset: number, bytes: number): Promise<{ readonly offset: number; readonly bytes: number }[]> {
    const groups = this.groupsOf(offset, bytes);
    if (groups.length > 0) return groups.map(({ place, groupBytes }) => ({ offset: place, bytes: groupBytes }));
    const next = this.#find(offset);
    const before = this.#groups[next - 1];
    const from = before ? before.place + before.groupBytes : PACK_HEADER_BYTES;
    const end = this.#groups[next]?.place ?? (await this.#handle.stat()).size;
    return end > from ? [{ offset: from, bytes: end - from }] : [];
  }

  /** A blob that is stored as it is, verified; null for every other one. Throws DK_CORRUPT_RECORD, and as `read`. */
  async readBlob({ offset, recordBytes, digest, decodedBytes }: ChainPlace): Promise<Buffer | null> {
    const { engine, algo, home } = this.#parts;
    const bytes = Buffer.allocUnsafe(recordBytes);
    if ((await this.read(offset, bytes)) < recordBytes) return null;
    const { head, payload } = decodeRecord(bytes, offset, home.checksum);
    const asked = head.codec === CODEC.raw && payload.length === decodedBytes && head.digest.equals(digest);
    return asked && engine.digest(algo, payload).equals(digest) ? payload : null;
  }

  async #openOr(group: DenseGroup, wanted: GroupStretch, lost: LostBytes | undefined): Promise<OpenedGroup | null> {
    try {
      return await this.#open(group, wanted);
    } catch (error) {
      if (!lost || !isUnreadable(error)) throw error;
      lost(group.offset, group.bytes);
      return null;
    }
  }

  /** A disk takes seconds to find that it does not give a block: whoever looks at one part of a group after the other waits once. */
  #open(group: DenseGroup, wanted: GroupStretch): Promise<OpenedGroup | null> {
    const failed = this.#failed.get(group);
    if (failed && systemClock.steadyMs() < failed.untilMs) return Promise.reject(failed.error);
    const unfolded = this.#parts.opened.take(group, () => this.#unfold(group, wanted));
    unfolded.catch((error: unknown) => {
      this.#failed.set(group, { error, untilMs: systemClock.steadyMs() + FAILED_MS });
    });
    return unfolded;
  }

  /**
   * The first byte from here on that there is something to be read of; the end of the pack when nothing is. Throws as `read`.
   *
   * @param lost what the disk does not give is passed over, and told to it
   */
  async soundFrom(offset: number, lost?: LostBytes): Promise<number> {
    if (offset < PACK_HEADER_BYTES) return offset;
    for (let index = this.#find(offset); index < this.#groups.length; index += 1) {
      const group = this.#groups[index] as DenseGroup;
      if (await this.#openOr(group, NOTHING, lost)) return Math.max(offset, group.offset);
    }
    return Math.max(offset, this.length);
  }

  /** The first group that ends behind a byte. */
  #find(byte: number): number {
    return lowerBound(this.#groups, byte + 1, ({ offset, bytes }) => offset + bytes);
  }

  /** Null for a damaged one. */
  async #unfold(group: DenseGroup, wanted: GroupStretch): Promise<OpenedGroup | null> {
    const { engine, algo, home } = this.#parts;
    const { checksum } = home;
    const { place, groupBytes, offset, bytes } = group;
    const known = { ...group, home: homeBytes(home, place) };
    const opened = await askAgain(() => engine.openGroup(this.#handle.fd, known, algo, wanted));
    if (opened) return opened;
    const whole = Buffer.allocUnsafeSlow(groupBytes);
    if ((await askAgain(() => readFully(this.#handle, whole, place))) < groupBytes) return null;
    try {
      const { head, frame } = decodeGroup(whole, home, place);
      if (head.offset !== offset || head.bytes !== bytes) return null;
      const folded = await engine.decompress(frame, { decodedBytes: head.foldedBytes });
      const digestOf = (data: Uint8Array) => engine.digest(algo, data);
      const unfolded = new UnfoldedGroup(folded, { records: head.records, bytes, digestOf, checksum });
      return {
        copy(from, into) {
          unfolded.copy(from, into as Buffer);
          return true;
        },
        fetch: async () => true,
      };
    } catch (error) {
      if (isDiffKeeperError(error) && error.code.startsWith('DK_CORRUPT')) return null;
      throw error;
    }
  }
}

export interface DenseFile {
  readonly handle: FileHandle;
  /** What the file begins with, as far as it was read. */
  readonly header: Buffer;
  /** See `findGroups`. */
  readonly groups: readonly DenseGroup[];
  readonly short: boolean;
}
