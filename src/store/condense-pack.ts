/** Writes one pack anew as a dense one, into a file beside it, and reads that back. */
import { open, unlink } from 'node:fs/promises';
import {
  DiffKeeperError,
  fromSystemError,
  isDiffKeeperError,
  LIMITS,
  readFully,
  systemCode,
  throwIfAborted,
} from '../core/core.js';
import { CODEC, type Engine, type HashAlgo } from '../engine/engine.js';
import {
  type Checksum,
  DENSE_PACK_VERSION,
  type DecodedRecord,
  PACK_HEADER_BYTES,
  RECORD,
  RECORD_CHECK_BYTES,
  RECORD_HEAD_BYTES,
} from '../format/format.js';
import type { RecordPlace } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { type CondenseChoice, SMALL_BLOB_BYTES } from './condense-choice.js';
import { findGroups } from './dense-find.js';
import { DensePack, OpenGroups } from './dense-pack.js';
import { type DenseRecord, DenseWriter } from './dense-writer.js';
import { packName } from './pack-names.js';
import { scanPack } from './pack-scan.js';
import type { Packs } from './packs.js';
import { PlaceMap } from './place-map.js';
import { decodeMetaRecord } from './replay.js';

/** Records that are decoded together. */
const BATCH_RECORDS = 256;
const BATCH_BYTES = 4 << 20;
/** A dense pack is to take at most this share of the plain one. */
const WORTH = 0.75;

/** These say nothing about a pack. */
const STOPPING: readonly string[] = ['DK_IO', 'DK_DISK_FULL', 'DK_ABORTED'];

export interface PackParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly checksum: Checksum;
  readonly packs: Packs;
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
    await run.assertReadable(file);
    const { places, endsWhole } = run;
    return { file, fileBytes, sourceBytes, places, length: writer.length, endsWhole };
  } catch (error) {
    await unlink(file).catch(() => {});
    throw systemCode(error) === '' ? error : fromSystemError(error, 'write', file);
  }
}

class PackRun {
  readonly places: PlaceMap;
  endsWhole = false;
  readonly #parts: PackParts;
  readonly #work: CondenseWork;
  readonly #writer: DenseWriter;
  /** What was written, in order: over kind, digest, context list and payload of each record. */
  #written = 0n;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;

  constructor(parts: PackParts, work: CondenseWork, writer: DenseWriter) {
    this.#parts = parts;
    this.#work = work;
    this.#writer = writer;
    this.places = new PlaceMap(work.pack);
  }

  /** What the newest state needs first, in short groups: to read a little of it, little is decompressed. */
  async writeAll(end: number): Promise<void> {
    await this.#walk(end, (used) => used, LIMITS.denseUsedBytes);
    await this.#walk(end, (used) => !used, LIMITS.denseGroupBytes);
  }

  async #walk(end: number, takes: (used: boolean) => boolean, groupBytes: number): Promise<void> {
    const { packs } = this.#parts;
    const { pack, choice, signal, onBytes } = this.#work;
    for await (const scanned of scanPack(packs, { pack, from: PACK_HEADER_BYTES, end })) {
      throwIfAborted(signal);
      if (scanned.kind === 'damage') damaged(pack, `${scanned.message}: it stays as it is`);
      const { record, place } = scanned;
      onBytes(place.recordBytes);
      const { kind, digest } = record.head;
      const isBlob = kind === RECORD.blob || kind === RECORD.recipe;
      this.endsWhole = kind === RECORD.checkpoint;
      if (!takes(isBlob && choice.isUsed(digest))) continue;
      this.#waiting.push({ place, record });
      this.#waitingBytes += record.head.decodedBytes + place.recordBytes;
      if (this.#waiting.length >= BATCH_RECORDS || this.#waitingBytes >= BATCH_BYTES) await this.#flush(groupBytes);
    }
    await this.#flush(groupBytes);
    await this.#writer.endGroup();
  }

  async #flush(groupBytes: number): Promise<void> {
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
        damaged(this.#work.pack, bytes.message);
      }
      const record = await this.#denseRecord(one.record, bytes);
      const place = await this.#writer.add(record, groupBytes);
      this.places.add(one.place.offset, { ...place, plain: record.plain });
      this.#written = this.#chain(this.#written, record, partsOf(record));
    }
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

  #chain(
    before: bigint,
    { kind, digest }: Pick<DenseRecord, 'kind' | 'digest'>,
    { contextList, payload }: Pick<DecodedRecord, 'contextList' | 'payload'>,
  ): bigint {
    const { checksum } = this.#parts;
    const bytes = Buffer.alloc(25 + digest.length);
    bytes.writeBigUInt64LE(before);
    bytes.writeBigUInt64LE(checksum(contextList), 8);
    bytes.writeBigUInt64LE(checksum(payload), 16);
    bytes[24] = kind;
    bytes.set(digest, 25);
    return checksum(bytes);
  }

  /** Nothing takes the place of a pack that was not read back to its end. */
  async assertReadable(file: string): Promise<void> {
    const { packs } = this.#parts;
    const { pack, signal } = this.#work;
    const handle = await open(file, 'r');
    try {
      const header = Buffer.alloc(PACK_HEADER_BYTES);
      await readFully(handle, header, 0);
      const { groups } = await findGroups({ handle, header }, packs.home(pack));
      if (groups === null) return damaged(pack, 'the dense one does not begin as such');
      const dense = new DensePack(
        { ...this.#parts, home: packs.home(pack), opened: new OpenGroups() },
        { handle, header, groups },
      );
      if (dense.length !== this.#writer.length) damaged(pack, 'the dense one stands for another length');
      const read = async (_pack: number, offset: number, bytes: number): Promise<Buffer> => {
        const room = Buffer.allocUnsafe(bytes);
        return room.subarray(0, await dense.read(offset, room));
      };
      const soundFrom = async (_pack: number, offset: number): Promise<number> => offset;
      let found = 0n;
      const range = { pack, from: PACK_HEADER_BYTES, end: dense.length };
      for await (const scanned of scanPack(
        { read, readPast: () => Promise.reject(new RangeError('not asked for')), records: packs.records, soundFrom },
        range,
      )) {
        throwIfAborted(signal);
        if (scanned.kind === 'damage') damaged(pack, `the dense one is damaged: ${scanned.message}`);
        found = this.#chain(found, scanned.record.head, scanned.record);
      }
      if (found !== this.#written) damaged(pack, 'the dense one holds other records');
    } finally {
      await handle.close();
    }
  }
}

function partsOf({ plain, bytes, contextListBytes }: DenseRecord): Pick<DecodedRecord, 'contextList' | 'payload'> {
  if (plain) return { contextList: bytes.subarray(0, 0), payload: bytes };
  const payloadAt = RECORD_HEAD_BYTES + contextListBytes;
  const contextList = bytes.subarray(RECORD_HEAD_BYTES, payloadAt);
  return { contextList, payload: bytes.subarray(payloadAt, bytes.length - RECORD_CHECK_BYTES) };
}

function damaged(pack: number, message: string): never {
  const name = packName(pack);
  throw new DiffKeeperError('DK_CORRUPT_PACK', `pack ${name} cannot be condensed: ${message}`, { name });
}
