/** A blob on its way in: what came, what was written, whether the digest is right. */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { GROUP_BYTES, type PieceDigest } from './blob-digest.js';
import { type Range, RangeSet, wholeUnits } from './ranges.js';
import type { BlobOffer, BlobSink } from './types.js';

/** What became of a piece. */
export type Taken = 'written' | 'known';

/** What a blob is checked by. */
export interface CheckedBy {
  readonly digest: PieceDigest;
  /** Length of such a digest. */
  readonly digestBytes: number;
  /** What it must be, when the sender has said so. */
  readonly expected?: Buffer;
}

export class IncomingBlob {
  readonly offer: BlobOffer;
  readonly #sink: BlobSink;
  readonly #checkedBy: CheckedBy;
  readonly #came = new RangeSet();
  readonly have: readonly Range[];
  #expected: Buffer | undefined;
  /** Bytes written and hashed, those that were here included. */
  #readyBytes = 0;
  #over = false;
  readonly #writing = new Set<Promise<unknown>>();

  /** @param sink where it goes; what it has is rounded to whole groups */
  constructor(offer: BlobOffer, sink: BlobSink, checkedBy: CheckedBy) {
    this.offer = offer;
    this.#sink = sink;
    this.#expected = checkedBy.expected;
    this.#checkedBy = checkedBy;
    const have = sink.read === undefined ? [] : wholeUnits(sink.have ?? [], offer.size, GROUP_BYTES);
    this.have = have.slice(0, LIMITS.haveRanges);
    for (const [start, end] of this.have) this.#came.add(start, end);
  }

  /** Hashes what was here already. */
  async checkHave(): Promise<void> {
    if (this.have.length === 0) return;
    const buffer = Buffer.allocUnsafe(LIMITS.frameBytes);
    for (const [start, end] of this.have) {
      for (let at = start; at < end && !this.#over; at += buffer.length) {
        const bytes = buffer.subarray(0, Math.min(buffer.length, end - at));
        await this.#sink.read?.(at, bytes);
        await this.#checkedBy.digest.add(at, bytes);
        this.#readyBytes += bytes.length;
      }
    }
  }

  /** Claims the place of a piece; 'known' when it is here or being written. Throws DK_PROTOCOL when it fits nowhere. */
  claim(offset: number, length: number): Taken {
    const end = offset + length;
    const aligned = offset % GROUP_BYTES === 0 && (end % GROUP_BYTES === 0 || end === this.offer.size);
    if (length === 0 || end > this.offer.size || !aligned) {
      throw new DiffKeeperError('DK_PROTOCOL', `a piece of ${length} bytes at ${offset} is none of the blob`);
    }
    const known = this.#came.covers(offset, end);
    if (known === 'some') throw new DiffKeeperError('DK_PROTOCOL', `a piece at ${offset} overlaps others`);
    if (known === 'all') return 'known';
    this.#came.add(offset, end);
    return 'written';
  }

  /** Hashes and writes a claimed piece; `values` are those of its groups, when its frame was checked by them. */
  async write(offset: number, bytes: Buffer, values?: Buffer): Promise<void> {
    const both = Promise.all([this.#checkedBy.digest.add(offset, bytes, values), this.#sink.write(offset, bytes)]);
    this.#writing.add(both);
    try {
      await both;
    } finally {
      this.#writing.delete(both);
    }
    this.#readyBytes += bytes.length;
  }

  /** The sender knows the digest now. */
  expect(digest: Buffer): void {
    if (digest.length !== this.#checkedBy.digestBytes) {
      throw new DiffKeeperError('DK_PROTOCOL', `a digest of ${digest.length} bytes is none of this blob`);
    }
    if (this.#expected !== undefined && !this.#expected.equals(digest)) {
      throw new DiffKeeperError('DK_PROTOCOL', 'a blob has two digests');
    }
    this.#expected = digest;
  }

  /** Whether all is here that is needed to finish. */
  get complete(): boolean {
    return !this.#over && this.#readyBytes === this.offer.size && this.#expected !== undefined;
  }

  /** Checks the digest and hands over to the sink; gives its answer. */
  async finish(): Promise<Buffer> {
    this.#over = true;
    const actual = this.#checkedBy.digest.finish();
    const expected = this.#expected as Buffer;
    if (!actual.equals(expected)) {
      const reason = new DiffKeeperError('DK_DIGEST_MISMATCH', 'the bytes that came are not those that were sent', {
        expected: expected.toString('hex'),
        actual: actual.toString('hex'),
      });
      await this.#sink.abort(reason).catch(() => {});
      throw reason;
    }
    return checkedAnswer(await this.#sink.finish());
  }

  /** Ends it for this session, once what is being written is written: it counts next time. */
  async abort(reason: Error): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await Promise.allSettled(this.#writing);
    await this.#sink.abort(reason).catch(() => {});
  }
}

/** The answer of a sink as it travels. */
export function checkedAnswer(answer: unknown): Buffer {
  const bytes = Buffer.isBuffer(answer) ? answer : Buffer.alloc(0);
  if (bytes.length > LIMITS.blobMetaBytes) {
    throw new RangeError(`the answer to a blob must have at most ${LIMITS.blobMetaBytes} bytes`);
  }
  return bytes;
}
