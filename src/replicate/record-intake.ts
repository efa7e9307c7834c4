/**
 * Batches of records that arrive: collected in memory, checked, and made durable together. Only batches that were asked
 * for are taken, of exactly the size that was told before.
 */
import { DiffKeeperError } from '../core/core.js';
import { type Digest, decodeRecordHead, RECORD, RECORD_HEAD_BYTES } from '../format/format.js';
import type { BlobDescription, StoreExchange } from '../store/store.js';
import type { BlobOffer, BlobSink, Session } from '../transport/transport.js';
import { encodeDigests } from './blob-messages.js';
import { RECORDS_SERVICE, VERB } from './protocol.js';
import type { Ask } from './types.js';

/** Waiting batches are made durable together, as far as they are not more than this. */
const TOGETHER_BYTES = 8 << 20;

interface Batch {
  readonly wanted: readonly BlobDescription[];
  readonly bytes: number;
  arrived: boolean;
}

interface Waiting {
  readonly records: readonly Buffer[];
  readonly bytes: number;
  readonly done: (error?: unknown) => void;
}

export class RecordIntake {
  readonly #exchange: StoreExchange;
  readonly #ask: Ask;
  readonly #batches = new Map<string, Batch>();
  #next = Math.floor(Math.random() * 2 ** 40) * 256;
  #waiting: Waiting[] = [];
  #keeping = false;
  /** What has been made durable. */
  blobs = 0;
  bytes = 0;
  /** Called after that. */
  onKept: () => void = () => {};

  constructor(exchange: StoreExchange, session: Session, ask: Ask) {
    this.#exchange = exchange;
    this.#ask = ask;
    session.onBlob(RECORDS_SERVICE, async (offer) => this.#open(offer));
  }

  /**
   * Asks for records; resolves when they are durable here.
   *
   * @param planned bytes that are wanted in this run, as far as is known
   */
  async fetch(wanted: readonly BlobDescription[], planned: number, signal: AbortSignal | undefined): Promise<void> {
    this.#next += 1;
    const number = this.#next;
    const key = Buffer.alloc(8);
    key.writeBigUInt64LE(BigInt(number));
    const batch: Batch = { wanted, bytes: wanted.reduce((sum, one) => sum + one.recordBytes, 0), arrived: false };
    this.#batches.set(key.toString('hex'), batch);
    try {
      const digests: readonly Digest[] = wanted.map(({ digest }) => digest);
      await this.#ask(VERB.want, encodeDigests(digests, { number, planned }), signal);
      if (!batch.arrived) throw new DiffKeeperError('DK_PROTOCOL', 'the other side did not send what it was asked for');
    } finally {
      this.#batches.delete(key.toString('hex'));
    }
  }

  #open({ key, size }: BlobOffer): BlobSink {
    const batch = this.#batches.get(key.toString('hex'));
    if (!batch || batch.arrived || size !== batch.bytes) {
      throw new DiffKeeperError('DK_PROTOCOL', `nobody asked for ${size} bytes of records`, { actual: size });
    }
    const bytes = Buffer.allocUnsafe(size);
    return {
      write: async (offset, piece) => {
        bytes.set(piece, offset);
      },
      finish: async () => {
        await this.#keep(splitRecords(bytes, batch.wanted));
        batch.arrived = true;
      },
      abort: async () => {},
    };
  }

  #keep(records: readonly Buffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const bytes = records.reduce((sum, record) => sum + record.length, 0);
      const done = (error?: unknown): void => (error === undefined ? resolve() : reject(error));
      this.#waiting.push({ records, bytes, done });
      if (!this.#keeping) void this.#keepAll();
    });
  }

  async #keepAll(): Promise<void> {
    this.#keeping = true;
    while (this.#waiting.length > 0) {
      const group: Waiting[] = [];
      let bytes = 0;
      do {
        const next = this.#waiting.shift() as Waiting;
        group.push(next);
        bytes += next.bytes;
      } while (this.#waiting[0] && bytes + this.#waiting[0].bytes <= TOGETHER_BYTES);
      await this.#keepGroup(group);
    }
    this.#keeping = false;
  }

  /** When one of them is refused, the others must not be: each by itself then. */
  async #keepGroup(group: readonly Waiting[]): Promise<void> {
    const records = group.flatMap((one) => one.records);
    try {
      await this.#exchange.keepBlobs(records);
    } catch (error) {
      if (group.length === 1) group[0]?.done(error);
      else for (const one of group) await this.#keepGroup([one]);
      return;
    }
    this.blobs += records.length;
    for (const one of group) {
      this.bytes += one.bytes;
      one.done();
    }
    this.onKept();
  }

  /** Resolves when nothing that arrived is still being written. */
  async idle(): Promise<void> {
    while (this.#keeping) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Exactly the records that were asked for, in that order. @throws DK_PROTOCOL, DK_CORRUPT_RECORD */
function splitRecords(bytes: Buffer, wanted: readonly BlobDescription[]): Buffer[] {
  let at = 0;
  return wanted.map(({ digest, kind, recordBytes }) => {
    const head = decodeRecordHead(bytes.subarray(at, at + RECORD_HEAD_BYTES), at);
    const same =
      head.recordBytes === recordBytes &&
      head.digest.equals(digest) &&
      (head.kind === RECORD.recipe) === (kind === 'recipe');
    if (!same) throw new DiffKeeperError('DK_PROTOCOL', 'the other side sent another record than it was asked for');
    at += recordBytes;
    return bytes.subarray(at - recordBytes, at);
  });
}
