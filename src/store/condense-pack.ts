/** Writes one pack anew as a dense one, into a file beside it, and reads that back. */
import { unlink } from 'node:fs/promises';
import { fromSystemError, isDiffKeeperError, LIMITS, systemCode, throwIfAborted } from '../core/core.js';
import { CODEC } from '../engine/engine.js';
import {
  DENSE_PACK_VERSION,
  type DecodedRecord,
  PACK_HEADER_BYTES,
  RECORD,
  RECORD_CHECK_BYTES,
  RECORD_HEAD_BYTES,
  RECORD_MIN_BYTES,
} from '../format/format.js';
import type { RecordPlace } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { type CheckParts, cannotCondense, checkDensePack, sumWith } from './condense-check.js';
import { type CondenseChoice, SMALL_BLOB_BYTES } from './condense-choice.js';
import { type DenseRecord, DenseWriter } from './dense-writer.js';
import { scanPack } from './pack-scan.js';
import { PlaceMap } from './place-map.js';
import { decodeMetaRecord } from './replay.js';

/** Records that are decoded together. */
const BATCH_RECORDS = 256;
const BATCH_BYTES = 4 << 20;
/** What the newest state needs of a pack has groups of its own from so many bytes on. */
const JOINED_BYTES_MAX = 64 << 10;
/** A dense pack is to take at most this share of the plain one. */
const WORTH = 0.75;

/** These say nothing about a pack. */
const STOPPING: readonly string[] = ['DK_IO', 'DK_DISK_FULL', 'DK_ABORTED'];

export interface PackParts extends CheckParts {
  readonly blobs: BlobStore;
}

export interface CondenseWork {
  readonly pack: number;
  /** What the newest state needs. */
  readonly choice: CondenseChoice;
  readonly signal: AbortSignal | undefined;
  /** Bytes of the pack that were read since the last call: each is read twice. */
  readonly onBytes: (bytes: number) => void;
}

export interface CondensedPack {
  /** The new file, durable under a name that no pack has. */
  readonly file: string;
  readonly fileBytes: number;
  /** Bytes of the plain pack that was read. */
  readonly sourceBytes: number;
  readonly places: PlaceMap;
  /** Bytes of the plain pack that the new file stands for. */
  readonly length: number;
  /** The last of its records is a checkpoint: nothing was kept behind it. */
  readonly endsWhole: boolean;
}

interface Waiting {
  readonly place: RecordPlace;
  readonly record: DecodedRecord;
}

/** A record on its way into the dense pack, and where it stands in the plain one. */
interface Coming {
  readonly offset: number;
  readonly record: DenseRecord;
}

/**
 * Null when it does not pay. Throws DK_CORRUPT_PACK when a record cannot be read, or the new file does not hold what the
 * old one held; DK_IO, DK_DISK_FULL.
 */
export async function condensePack(parts: PackParts, work: CondenseWork): Promise<CondensedPack | null> {
  const { packs, engine } = parts;
  const { pack } = work;
  const file = packs.files.unfinishedFile(pack);
  const sourceBytes = await packs.fileBytes(pack);
  await unlink(file).catch(() => {});
  try {
    const writer = await DenseWriter.create(file, {
      engine,
      home: packs.home(pack),
      header: packs.header(pack, DENSE_PACK_VERSION),
      signal: work.signal,
    });
    const run = new PackRun(parts, work, writer);
    let fileBytes: number;
    try {
      await run.writeAll(sourceBytes);
      fileBytes = await writer.finish();
    } catch (error) {
      await writer.release();
      throw error;
    }
    if (fileBytes > sourceBytes * WORTH) {
      await unlink(file);
      return null;
    }
    const { places, endsWhole, written } = run;
    const { length } = writer;
    await places.arrange();
    await checkDensePack(parts, { file, pack, length, written, signal: work.signal });
    return { file, fileBytes, sourceBytes, places, length, endsWhole };
  } catch (error) {
    await unlink(file).catch(() => {});
    throw systemCode(error) === '' ? error : fromSystemError(error, 'write', file);
  }
}

class PackRun {
  readonly places: PlaceMap;
  endsWhole = false;
  /** What was written: the sum of all records (condense-check.ts). */
  written = 0n;
  readonly #parts: PackParts;
  readonly #work: CondenseWork;
  readonly #writer: DenseWriter;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** Of the records that the newest state does not need, bytes of the plain pack, about. */
  #otherBytes = 0;

  constructor(parts: PackParts, work: CondenseWork, writer: DenseWriter) {
    this.#parts = parts;
    this.#work = work;
    this.#writer = writer;
    this.places = new PlaceMap(work.pack);
  }

  /** What the newest state needs first, in short groups: to read a little of it, little is decompressed. */
  async writeAll(end: number): Promise<void> {
    await this.#walk(end, (used) => used, LIMITS.denseUsedBytes);
    const { pendingBytes } = this.#writer;
    // A short rest would have a whole version of its own to begin with.
    const groups = Math.max(1, Math.round((pendingBytes + this.#otherBytes) / LIMITS.denseGroupBytes));
    if (groups === 1 && pendingBytes <= JOINED_BYTES_MAX) return this.#writeRest(end);
    await this.#writer.endGroup();
    await this.#walk(end, (used) => !used, Math.ceil(this.#otherBytes / groups));
    await this.#writer.endGroup();
  }

  /**
   * All that is left into the group in hand. The newest contents are in it: the one right before comes next, and so on, so that
   * they take no room besides.
   */
  async #writeRest(end: number): Promise<void> {
    const held: Coming[] = [];
    await this.#walk(end, (used) => !used, held);
    const isText = ({ record: { plain, kind } }: Coming) => plain && kind === RECORD.blob;
    // Those name others, which stand before them.
    const others = held.filter((coming) => !isText(coming));
    for (const coming of [...held.filter(isText).reverse(), ...others])
      await this.#write(coming, Number.POSITIVE_INFINITY);
    await this.#writer.endGroup();
  }

  /** @param to the length of groups, or a list that takes the records instead */
  async #walk(end: number, takes: (used: boolean) => boolean, to: number | Coming[]): Promise<void> {
    const { packs } = this.#parts;
    const { pack, choice, signal, onBytes } = this.#work;
    for await (const scanned of scanPack(packs, { pack, from: PACK_HEADER_BYTES, end })) {
      throwIfAborted(signal);
      if (scanned.kind === 'damage') cannotCondense(pack, `${scanned.message}: it stays as it is`);
      const { record, place } = scanned;
      onBytes(place.recordBytes);
      const { kind, digest } = record.head;
      const isBlob = kind === RECORD.blob || kind === RECORD.recipe;
      this.endsWhole = kind === RECORD.checkpoint;
      if (!takes(isBlob && choice.isUsed(digest))) {
        const plain = kind >= RECORD.versions || this.#isRecoded(record);
        this.#otherBytes += plain ? RECORD_MIN_BYTES + record.head.decodedBytes : place.recordBytes;
        continue;
      }
      this.#waiting.push({ place, record });
      this.#waitingBytes += record.head.decodedBytes + place.recordBytes;
      if (this.#waiting.length >= BATCH_RECORDS || this.#waitingBytes >= BATCH_BYTES) await this.#flush(to);
    }
    await this.#flush(to);
  }

  async #flush(to: number | Coming[]): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const coded = waiting.filter(({ record }) => this.#isRecoded(record));
    const decoded = await this.#parts.blobs.read(coded.map(({ record }) => record.head.digest));
    let next = 0;
    for (const one of waiting) {
      const bytes = this.#isRecoded(one.record) ? decoded[next++] : undefined;
      if (bytes instanceof Error) {
        if (!isDiffKeeperError(bytes) || STOPPING.includes(bytes.code)) throw bytes;
        cannotCondense(this.#work.pack, bytes.message);
      }
      const coming = { offset: one.place.offset, record: await this.#denseRecord(one.record, bytes) };
      if (typeof to === 'number') await this.#write(coming, to);
      else to.push(coming);
    }
  }

  async #write({ offset, record }: Coming, groupBytes: number): Promise<void> {
    const place = await this.#writer.add(record, groupBytes);
    this.places.add(offset, { ...place, plain: record.plain });
    const { checksum } = this.#parts;
    this.written = sumWith(checksum, this.written, { head: record, ...partsOf(record) });
  }

  /** Short blobs that others are much like: together they take less than coded against one another. */
  #isRecoded({ head }: DecodedRecord): boolean {
    if (head.kind !== RECORD.blob || head.codec === CODEC.raw || head.decodedBytes > SMALL_BLOB_BYTES) return false;
    // It is read alone, and is short enough.
    return head.depth > 0 || !this.#work.choice.isUsed(head.digest);
  }

  async #denseRecord(record: DecodedRecord, decoded: Buffer | undefined): Promise<DenseRecord> {
    const { engine, algo, packs } = this.#parts;
    const { head, contextList, payload } = record;
    const { kind, digest, codec } = head;
    const facts = { kind, digest, contextListBytes: contextList.length };
    if (decoded) return { ...facts, plain: true, bytes: decoded };
    if (kind >= RECORD.versions) {
      return { ...facts, plain: true, bytes: await decodeMetaRecord(engine, algo, record) };
    }
    if (codec === CODEC.raw && engine.digest(algo, payload).equals(digest)) {
      return { ...facts, plain: true, bytes: payload };
    }
    return { ...facts, plain: false, bytes: packs.records.encode({ ...head, contextList, payload }) };
  }
}

function partsOf({ plain, bytes, contextListBytes }: DenseRecord): Pick<DecodedRecord, 'contextList' | 'payload'> {
  if (plain) return { contextList: bytes.subarray(0, 0), payload: bytes };
  const payloadAt = RECORD_HEAD_BYTES + contextListBytes;
  const contextList = bytes.subarray(RECORD_HEAD_BYTES, payloadAt);
  return { contextList, payload: bytes.subarray(payloadAt, bytes.length - RECORD_CHECK_BYTES) };
}
