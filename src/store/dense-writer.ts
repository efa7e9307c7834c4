/** Writes the file of a dense pack: groups, one after the other, and the list of them. */
import { AppendFile, LIMITS, throwIfAborted } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import {
  type DenseGroup,
  encodeGroup,
  encodeGroupList,
  type GroupHome,
  PACK_HEADER_BYTES,
  RECORD_MIN_BYTES,
  RecordFolder,
  type RecordKind,
} from '../format/format.js';

/** It is written once, and read rarely. */
const LEVEL = 19;
/**
 * Versions of one text stand side by side, so this is far enough for matches; and who reads a group needs no more memory than fits
 * a processor's cache, instead of fresh pages for all of it.
 */
const NEAR_WINDOW_LOG = 18;
/** Folded bytes that have become at least so many times shorter need no wider window; others are tried. */
const NEAR_ENOUGH = 24;
/** A wider window has to make the frame this much shorter. */
const WIDER_SHARE = 0.97;

export interface DenseRecord {
  readonly kind: RecordKind;
  readonly digest: Buffer;
  /** To be stored as it is, with this payload; otherwise the whole record. */
  readonly plain: boolean;
  readonly bytes: Buffer;
  readonly contextListBytes: number;
}

/** Where the record stands in the plain pack that the dense one stands for. */
export interface WrittenPlace {
  readonly offset: number;
  readonly recordBytes: number;
}

interface DenseParts {
  readonly engine: Engine;
  readonly home: GroupHome;
  /** That of the dense pack. */
  readonly header: Buffer;
  /** Heard between two compressions of a group, which take seconds. */
  readonly signal: AbortSignal | undefined;
}

export class DenseWriter {
  readonly #engine: Engine;
  readonly #home: GroupHome;
  readonly #signal: AbortSignal | undefined;
  readonly #file: AppendFile;
  readonly #folder = new RecordFolder();
  readonly #groups: DenseGroup[] = [];
  /** Where the group in hand begins in the plain pack. */
  #offset = PACK_HEADER_BYTES;

  private constructor({ engine, home, signal }: DenseParts, file: AppendFile) {
    this.#engine = engine;
    this.#home = home;
    this.#signal = signal;
    this.#file = file;
  }

  /** Throws system errors. */
  static async create(file: string, { engine, home, header, signal }: DenseParts): Promise<DenseWriter> {
    const output = await AppendFile.create(file);
    await output.append([header]).catch(async (error: unknown) => {
      await output.close().catch(() => {});
      throw error;
    });
    return new DenseWriter({ engine, home, header, signal }, output);
  }

  /** Bytes of the plain pack that the group in hand stands for. */
  get pendingBytes(): number {
    return this.#folder.bytes;
  }

  /** Bytes of the plain pack so far. */
  get length(): number {
    return this.#offset + this.#folder.bytes;
  }

  /** @param groupBytes the group ends once it stands for so many. The record's bytes must not change until it does */
  async add(record: DenseRecord, groupBytes: number): Promise<WrittenPlace> {
    const { kind, digest, plain, bytes, contextListBytes } = record;
    const recordBytes = plain ? RECORD_MIN_BYTES + bytes.length : bytes.length;
    if (this.#folder.bytes + recordBytes > LIMITS.denseGroupBytesMax) await this.endGroup();
    const offset = this.length;
    if (plain) this.#folder.addPlain(kind, bytes, digest);
    else this.#folder.addWhole(kind, bytes, { digest, contextListBytes });
    if (this.#folder.bytes >= groupBytes) await this.endGroup();
    return { offset, recordBytes };
  }

  /** Writes the group in hand. */
  async endGroup(): Promise<void> {
    const { records, bytes } = this.#folder;
    if (records === 0) return;
    if (this.#groups.length === LIMITS.denseGroups) throw new RangeError('a dense pack has too many groups');
    const folded = this.#folder.finish();
    const frame = await this.#compress(folded);
    const facts = { foldedBytes: folded.length, records, offset: this.#offset, bytes };
    const place = this.#file.length;
    const group = encodeGroup(facts, frame, { home: this.#home, place });
    this.#groups.push({ place, groupBytes: group.length, offset: this.#offset, bytes });
    await this.#file.append([group]);
    this.#offset += bytes;
  }

  async #compress(folded: Buffer): Promise<Buffer> {
    if (folded.length <= 1 << NEAR_WINDOW_LOG) return this.#engine.compress(folded, { level: LEVEL });
    const far = { level: LEVEL, longDistance: true };
    const frame = await this.#engine.compress(folded, { ...far, windowLog: NEAR_WINDOW_LOG });
    if (frame.length * NEAR_ENOUGH <= folded.length) return frame;
    throwIfAborted(this.#signal);
    const wider = await this.#engine.compress(folded, far);
    return wider.length < frame.length * WIDER_SHARE ? wider : frame;
  }

  /** Everything is durable once this resolves. @returns bytes of the file */
  async finish(): Promise<number> {
    await this.endGroup();
    await this.#file.append([encodeGroupList(this.#groups, this.#home, this.#file.length)]);
    await this.#file.sync();
    const { length } = this.#file;
    await this.#file.close();
    return length;
  }

  /** Closes the file as it is. */
  async release(): Promise<void> {
    await this.#file.close().catch(() => {});
  }
}
