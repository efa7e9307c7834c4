/** Blob records out of the packs: located by the index, checked, not decoded yet. */
import { DiffKeeperError, errnoError, fromSystemError, inGroups, isDiffKeeperError } from '../core/core.js';
import type { HashAlgo } from '../engine/engine.js';
import { type DecodedRecord, type Digest, decodeExtents, digestKey, type Extent } from '../format/format.js';
import { decodeBlobInfo, type IndexedBlob } from './blob-index.js';
import { type BufferPool, POOLED_BYTES_MIN } from './buffer-pool.js';
import { blobKey, lostBlobKey } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import { NearRecords, RECORD_BYTES_MAX, WINDOW_BYTES } from './near-records.js';
import type { Packs } from './packs.js';
import type { BlobInfo } from './types.js';
import { isUnreadable } from './unreadable-blocks.js';

/** Neighbouring records are read together, with the gap between them, when it is at most this. */
const READ_GAP_BYTES = 64 << 10;
/** Bytes read in one crossing. */
const READ_CALL_BYTES = 5 << 20;
/** Crossings under way for one request. */
const CALLS_AT_ONCE = 2;
/** Runs that are read past the page cache consist of so many whole bytes. */
const PAGE_BYTES = 4096;
/** Records that are looked for one by one among those near each other; of more it is faster to read just these. */
export const NEAR_MAX = 4;
/** The first blob of a chain of longer ones hardly stands within a window. */
const SHORT_BYTES_MAX = WINDOW_BYTES;

export interface CodedBlob {
  readonly key: string;
  /** What the record's payload is a view of: bytes of the pack, or the opened record. */
  readonly run: Buffer;
  readonly record: DecodedRecord;
  readonly context: readonly Extent[];
}

export class BlobFetch {
  readonly #meta: MetaReader;
  readonly #packs: Packs;

  constructor(parts: { meta: MetaReader; packs: Packs }) {
    this.#meta = parts.meta;
    this.#packs = parts.packs;
  }

  async infos(digests: readonly Digest[]): Promise<(IndexedBlob | undefined)[]> {
    const values = await this.#meta.getMany(digests.map(blobKey));
    return values.map((value, index) => (value ? decodeBlobInfo(value, digests[index] as Digest) : undefined));
  }

  /** Where these blobs are; those that are not indexed go into `failed`. */
  async locate(digests: readonly Digest[], failed: Map<string, Error>): Promise<BlobInfo[]> {
    const infos = await this.infos(digests);
    const places: BlobInfo[] = [];
    for (const [index, info] of infos.entries()) {
      const digest = digests[index] as Digest;
      if (info) places.push(info);
      else failed.set(digestKey(digest), notIndexed(digest));
    }
    if (places.length < digests.length) await this.#tellLost(failed);
    return places;
  }

  /** What is known to be in no pack any more no rebuild will find. */
  async #tellLost(failed: Map<string, Error>): Promise<void> {
    const keys = [...failed].filter(([, error]) => isDiffKeeperError(error, 'DK_CORRUPT_INDEX')).map(([key]) => key);
    const digests = keys.map((key) => Buffer.from(key, 'latin1'));
    const lost = await this.#meta.getMany(digests.map(lostBlobKey));
    for (const [index, value] of lost.entries()) {
      if (value) failed.set(keys[index] as string, lostBlob(digests[index] as Digest));
    }
  }

  /** For a request that reads few records one after another. */
  nearRecords(): NearRecords {
    return new NearRecords(this.#packs);
  }

  /** Their records, in any order; what cannot be read goes into `failed`. @param how `near`: see `nearRecords`; `direct`: past the page cache */
  async fetch(
    infos: readonly BlobInfo[],
    failed: Map<string, Error>,
    how: Fetching & { readonly near?: NearRecords | undefined } = {},
  ): Promise<CodedBlob[]> {
    const { near } = how;
    const nearby = near && infos.length <= NEAR_MAX ? await this.#fetchNear(infos, near) : [];
    const left =
      nearby.length > 0 ? infos.filter((info) => !nearby.some(({ key }) => key === digestKey(info.digest))) : infos;
    const found = await inGroups(planReads(left), CALLS_AT_ONCE, (call) => this.#fetchCall(call, failed, how));
    return [...nearby, ...found.flat()];
  }

  /** Those of the records that come out of windows as they should; what is wrong with others shows when they are read alone. */
  async #fetchNear(infos: readonly BlobInfo[], near: NearRecords): Promise<CodedBlob[]> {
    const coded: CodedBlob[] = [];
    for (const info of infos) {
      try {
        const window = await near.find(info);
        if (window === null) continue;
        const at = info.offset - window.offset;
        const bytes = window.bytes.subarray(at, at + info.recordBytes);
        coded.push(this.#check(info, digestKey(info.digest), window.bytes, bytes));
      } catch {
        // It is read again, and what is wrong is told then.
      }
    }
    return coded;
  }

  /**
   * A short blob, verified, when its record and those of its chain stand near each other: all in one crossing. Undefined for
   * every other one, and when anything is wrong: it is to be read link by link then, which tells what.
   */
  async readShort(digest: Digest, algo: HashAlgo): Promise<Buffer | undefined> {
    // Of a sealed record nothing can be told before it is opened.
    if (this.#packs.records.sealed) return undefined;
    const [info] = await this.infos([digest]);
    if (!info || info.recordBytes > RECORD_BYTES_MAX || info.decodedBytes > SHORT_BYTES_MAX) return undefined;
    const { pack, offset, recordBytes, decodedBytes, depth } = info;
    const windowBytes = depth > 0 ? WINDOW_BYTES : recordBytes;
    try {
      const place = { offset, recordBytes, windowBytes, digest, decodedBytes };
      return (await this.#packs.readChain(pack, place, algo)) ?? undefined;
    } catch {
      return undefined;
    }
  }

  /** Asks the system to read the records of these blobs ahead. @param direct those that stand alone will be read so */
  async prefetch(digests: readonly Digest[], direct: boolean): Promise<void> {
    const infos = await this.infos(digests);
    const calls = planReads(infos.filter((info) => info !== undefined && !(direct && info.depth === 0)) as BlobInfo[]);
    await Promise.all(calls.map(({ pack, runs }) => this.#packs.prefetch(pack, Float64Array.from(runs))));
  }

  async #fetchCall(planned: ReadCall, failed: Map<string, Error>, how: Fetching): Promise<CodedBlob[]> {
    const { pool } = how;
    let call = planned;
    let bytes: Buffer;
    let done: Float64Array;
    try {
      const direct = how.direct === true && pool !== undefined && (await this.#goesDirect(planned));
      if (direct) call = inWholePages(planned);
      bytes = pool?.take(call.bytes) ?? Buffer.allocUnsafe(call.bytes);
      done = await this.#packs.readRuns(call.pack, Float64Array.from(call.runs), bytes, direct);
    } catch (error) {
      for (const { info } of call.places) failed.set(digestKey(info.digest), asError(error));
      return [];
    }
    const coded: CodedBlob[] = [];
    for (const { info, run, runAt, at } of call.places) {
      const key = digestKey(info.digest);
      try {
        const got = done[run] as number;
        if (got < 0) {
          coded.push(await this.#fetchAlone(info, this.#readError(call.pack, got)));
          continue;
        }
        // Of what the pack does not have any more nothing is taken: it would be the end of another record.
        const end = Math.min(at + info.recordBytes, runAt + got);
        coded.push(this.#check(info, key, bytes, bytes.subarray(at, Math.max(at, end))));
      } catch (error) {
        failed.set(key, inPack(error, this.#packs.file(info.pack)));
      }
    }
    // Nothing refers to sealed bytes once they are opened.
    if (this.#packs.records.sealed) pool?.give(bytes);
    return coded;
  }

  /** Of a dense pack other bytes stand in the file. */
  async #goesDirect({ pack, bytes }: ReadCall): Promise<boolean> {
    return bytes >= POOLED_BYTES_MIN && !(await this.#packs.isOpenDense(pack));
  }

  /** A record that was to be read together with others: those may stand where the disk gives nothing, and not this one. */
  async #fetchAlone(info: BlobInfo, error: Error): Promise<CodedBlob> {
    if (!isUnreadable(error)) throw error;
    const bytes = await this.#packs.read(info.pack, info.offset, info.recordBytes);
    return this.#check(info, digestKey(info.digest), bytes, bytes);
  }

  #readError(pack: number, status: number): Error {
    return fromSystemError(errnoError(status, 'read'), 'read', this.#packs.file(pack));
  }

  #check(info: BlobInfo, key: string, run: Buffer, bytes: Buffer): CodedBlob {
    const record = this.#packs.records.decode(bytes, info.offset);
    if (!record.head.digest.equals(info.digest)) {
      throw new DiffKeeperError('DK_CORRUPT_INDEX', `the index points at another blob in pack ${info.pack}`);
    }
    const { depth, decodedBytes } = record.head;
    if (depth !== info.depth || decodedBytes !== info.decodedBytes) {
      throw new DiffKeeperError('DK_CORRUPT_INDEX', `the index describes another blob in pack ${info.pack}`);
    }
    const context = record.contextList.length > 0 ? decodeExtents(record.contextList) : [];
    return { key, run: record.plain ?? run, record, context };
  }
}

function notIndexed(digest: Digest): Error {
  const name = digest.toString('hex');
  return new DiffKeeperError('DK_CORRUPT_INDEX', `blob ${name} is not in the index: run \`diffkeeper repair\``, {
    name,
  });
}

function lostBlob(digest: Digest): Error {
  const name = digest.toString('hex');
  const message = `blob ${name} is lost, no pack has it any more: a capture that meets the same content stores it anew`;
  return new DiffKeeperError('DK_CORRUPT_PACK', message, { name });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function inPack(error: unknown, file: string): Error {
  if (!isDiffKeeperError(error)) return asError(error);
  return new DiffKeeperError(error.code, `${file}: ${error.message}`, { ...error.facts, path: file }, error);
}

/** Runs of one pack that are read in one crossing, behind one another. */
interface ReadCall {
  readonly pack: number;
  /** Pairs (offset, length). */
  readonly runs: number[];
  /** Of all runs. */
  bytes: number;
  readonly places: {
    readonly info: BlobInfo;
    /** Number of the run that holds the record, and where that begins among the bytes read. */
    readonly run: number;
    readonly runAt: number;
    /** Where the record begins among the bytes read. */
    readonly at: number;
  }[];
}

interface Fetching {
  readonly pool?: BufferPool;
  /** Long reads go past the page cache. Without a pool none does. */
  readonly direct?: boolean;
}

/** The same records, read with all of the pages that they lie in: each run has its room at the beginning of a page. */
function inWholePages({ pack, runs, places }: ReadCall): ReadCall {
  const whole: number[] = [];
  const rooms: number[] = [];
  let room = 0;
  for (let index = 0; index < runs.length; index += 2) {
    const offset = runs[index] as number;
    const begin = offset - (offset % PAGE_BYTES);
    const bytes = Math.ceil((offset + (runs[index + 1] as number) - begin) / PAGE_BYTES) * PAGE_BYTES;
    whole.push(begin, bytes);
    rooms.push(room);
    room += bytes;
  }
  const moved = places.map(({ info, run }) => {
    const runAt = rooms[run] as number;
    return { info, run, runAt, at: runAt + info.offset - (whole[2 * run] as number) };
  });
  return { pack, runs: whole, bytes: room, places: moved };
}

function planReads(infos: readonly BlobInfo[]): ReadCall[] {
  const calls: ReadCall[] = [];
  let call: ReadCall | undefined;
  let end = 0;
  for (const info of [...infos].sort((one, other) => one.pack - other.pack || one.offset - other.offset)) {
    if (call === undefined || call.pack !== info.pack || call.bytes + info.recordBytes > READ_CALL_BYTES) {
      call = { pack: info.pack, runs: [], bytes: 0, places: [] };
      calls.push(call);
    }
    const { runs } = call;
    const gap = info.offset - end;
    if (runs.length > 0 && gap >= 0 && gap <= READ_GAP_BYTES) {
      runs[runs.length - 1] = (runs[runs.length - 1] as number) + gap + info.recordBytes;
      call.bytes += gap + info.recordBytes;
    } else {
      runs.push(info.offset, info.recordBytes);
      call.bytes += info.recordBytes;
    }
    const run = runs.length / 2 - 1;
    call.places.push({
      info,
      run,
      runAt: call.bytes - (runs[runs.length - 1] as number),
      at: call.bytes - info.recordBytes,
    });
    end = info.offset + info.recordBytes;
  }
  return calls;
}
