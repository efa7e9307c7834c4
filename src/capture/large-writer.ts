/**
 * Turns the changed ranges of one large file, in ascending order, into the list of extents that makes up its new
 * version. Three kinds of stretches: unchanged ones are slices of the source's recipe; long runs of new bytes are
 * cut where their content says so (equal bytes elsewhere then are equal blobs); scattered small ranges are gathered
 * into blobs coded against exactly the bytes they replace.
 */
import { type BytePath, LIMITS } from '../core/core.js';
import type { ScanStep } from '../engine/engine.js';
import type { Extent } from '../format/format.js';
import type { VersionReader } from '../store/store.js';
import { BlobQueue, type Slot } from './blob-queue.js';
import type { CaptureWork } from './capture-work.js';

const CUT = { minBytes: 128 << 10, averageBytes: 512 << 10, maxBytes: LIMITS.blobBytes } as const;
/**
 * Scattered bytes that are worth a blob of their own at the end of a window: fewer are carried on, to share the cost of
 * a record. Chains that wander from window to window would make every reader decode the whole file for a few pages.
 */
const WINDOW_BYTES_MIN = 64 << 10;
/** A changed range of at least this length is cut by content. */
const RUN_BYTES = 1 << 20;

/** The ranges do not add up to one file: it was cut or grew while it was read. */
export class TornFileError extends Error {}

export interface LargeWriterOptions {
  readonly path: BytePath;
  /** Version whose bytes the unchanged stretches are; absent for a first version. */
  readonly source?: VersionReader;
  /** The ranges come without a page table: compare them with the source before calling them changed. */
  readonly compare: boolean;
}

export class LargeWriter {
  readonly #work: CaptureWork;
  readonly #source: VersionReader | undefined;
  readonly #sourceBytes: number;
  readonly #compare: boolean;
  readonly #queue: BlobQueue;
  readonly #slots: Extent[] = [];
  /** End of what `#slots` and the open run cover. */
  #position = 0;
  #run: Buffer[] = [];
  #runBytes = 0;
  #scattered: { readonly bytes: Buffer; readonly offset: number; readonly slot: Slot }[] = [];
  #scatteredBytes = 0;
  /** Changed bytes seen so far, zeros not counted. */
  changedBytes = 0;

  constructor(work: CaptureWork, options: LargeWriterOptions) {
    this.#work = work;
    this.#source = options.source;
    this.#sourceBytes = options.source?.version.size ?? 0;
    this.#compare = options.compare && options.source !== undefined;
    this.#queue = new BlobQueue(work, options.path, options.source);
  }

  async take(step: ScanStep): Promise<void> {
    let at = 0;
    for (let i = 0; i < step.zero.length; i += 1) {
      const offset = step.ranges[2 * i] ?? 0;
      const length = step.ranges[2 * i + 1] ?? 0;
      if (offset < this.#position || length <= 0) throw new TornFileError('ranges overlap');
      if (step.zero[i]) {
        await this.#zero(offset, length);
        continue;
      }
      const bytes = step.data.subarray(at, at + length);
      at += length;
      if (bytes.length !== length) throw new TornFileError('a range is shorter than announced');
      if (this.#compare) await this.#differing(offset, bytes);
      else await this.#changed(offset, bytes);
    }
  }

  /** Closes the list: everything up to `size` is covered. */
  async finish(size: number): Promise<readonly Extent[]> {
    if (size < this.#position) throw new TornFileError('the file shrank while it was read');
    await this.#gap(size);
    await this.#flushRun();
    await this.#flushScattered();
    await this.#queue.flush();
    return this.#slots;
  }

  /** Waits for work under way, whatever comes of it; to be called before the transaction is used by others. */
  async settle(): Promise<void> {
    await this.#queue.settle();
  }

  /** Compares with the source page by page, so that a lost page table costs time but no space. */
  async #differing(offset: number, bytes: Buffer): Promise<void> {
    const source = this.#source;
    const common = Math.min(bytes.length, this.#sourceBytes - offset);
    const older = source && common > 0 ? await source.read(offset, common).catch(() => undefined) : undefined;
    if (!older) return this.#changed(offset, bytes);
    let changedFrom = -1;
    for (let at = 0; at < bytes.length; at += LIMITS.pageBytes) {
      const end = Math.min(at + LIMITS.pageBytes, bytes.length);
      const same = end <= common && bytes.compare(older, at, end, at, end) === 0;
      if (!same && changedFrom < 0) changedFrom = at;
      if (same && changedFrom >= 0) {
        await this.#changed(offset + changedFrom, bytes.subarray(changedFrom, at));
        changedFrom = -1;
      }
    }
    if (changedFrom >= 0) await this.#changed(offset + changedFrom, bytes.subarray(changedFrom));
  }

  async #changed(offset: number, bytes: Buffer): Promise<void> {
    await this.#gap(offset);
    this.changedBytes += bytes.length;
    const beyond = offset + bytes.length > this.#sourceBytes;
    this.#position = offset + bytes.length;
    if (this.#runBytes === 0 && !beyond && bytes.length < RUN_BYTES) return this.#addScattered(offset, bytes);
    this.#run.push(bytes);
    this.#runBytes += bytes.length;
    if (this.#runBytes >= this.#work.chunkBytes) await this.#cutRun(false);
  }

  /** Everything between the last range and this one is as in the source. */
  async #gap(until: number): Promise<void> {
    if (until <= this.#position) return;
    await this.#flushRun();
    if (!this.#source || until > this.#sourceBytes) throw new TornFileError('a stretch is missing');
    const extents = await this.#source.extents(this.#position, until - this.#position);
    for (let index = 0; index < extents.length; index += 1) this.#slots.push(extents[index] as Extent);
    this.#position = until;
  }

  async #zero(offset: number, length: number): Promise<void> {
    await this.#gap(offset);
    await this.#flushRun();
    this.#slots.push({ digest: null, offset: 0, length });
    this.#position = offset + length;
  }

  async #flushRun(): Promise<void> {
    if (this.#runBytes > 0) await this.#cutRun(true);
  }

  /** Cuts the open run; the last piece stays open unless the run is over, because more bytes may move its end. */
  async #cutRun(over: boolean): Promise<void> {
    const data = this.#run.length === 1 && this.#run[0] ? this.#run[0] : Buffer.concat(this.#run);
    const start = this.#position - this.#runBytes;
    const lengths = await this.#work.engine.cut(data, CUT);
    const count = over ? lengths.length : lengths.length - 1;
    let at = 0;
    for (let i = 0; i < count; i += 1) {
      const length = lengths[i] ?? 0;
      const slot: Slot = { digest: null, offset: 0, length };
      this.#slots.push(slot);
      const bytes = data.subarray(at, at + length);
      await this.#queue.add({ pieces: [bytes], ranges: [start + at, length], slots: [slot] });
      at += length;
    }
    this.#run = at < data.length ? [data.subarray(at)] : [];
    this.#runBytes = data.length - at;
  }

  async #addScattered(offset: number, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#leavesWindow(offset + at)) await this.#flushScattered();
      const room = Math.min(LIMITS.blobBytes - this.#scatteredBytes, beforeWindowEnd(offset + at));
      const length = Math.min(bytes.length - at, room);
      const slot: Slot = { digest: null, offset: this.#scatteredBytes, length };
      this.#slots.push(slot);
      this.#scattered.push({ bytes: bytes.subarray(at, at + length), offset: offset + at, slot });
      this.#scatteredBytes += length;
      at += length;
      if (this.#scatteredBytes >= LIMITS.blobBytes) await this.#flushScattered();
    }
  }

  #leavesWindow(position: number): boolean {
    const last = this.#scattered.at(-1);
    if (!last) return false;
    if (Math.floor(last.offset / LIMITS.regionBytes) !== Math.floor(position / LIMITS.regionBytes)) return true;
    const sameWindow = Math.floor(last.offset / LIMITS.windowBytes) === Math.floor(position / LIMITS.windowBytes);
    return !sameWindow && this.#scatteredBytes >= WINDOW_BYTES_MIN;
  }

  async #flushScattered(): Promise<void> {
    const pieces = this.#scattered;
    if (pieces.length === 0) return;
    this.#scattered = [];
    this.#scatteredBytes = 0;
    await this.#queue.add({
      pieces: pieces.map((piece) => piece.bytes),
      ranges: pieces.flatMap((piece) => [piece.offset, piece.bytes.length]),
      slots: pieces.map((piece) => piece.slot),
    });
  }
}

function beforeWindowEnd(position: number): number {
  return LIMITS.windowBytes - (position % LIMITS.windowBytes);
}
