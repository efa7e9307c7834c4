/** Pack files on disk, as they are read: plain ones, and dense ones as the plain ones that they stand for. */
import { stat } from 'node:fs/promises';
import { type DiffKeeperError, fromSystemError } from '../core/core.js';
import type { ChainPlace, FileSlices, HashAlgo, SliceRange } from '../engine/engine.js';
import { PACK_HEADER_BYTES } from '../format/format.js';
import type { LostBytes } from './dense-pack.js';
import { PackDirectory } from './pack-directory.js';
import type { PackFacts } from './pack-facts.js';
import { isCompacted } from './pack-names.js';
import { PackReaders, type Stretch } from './pack-readers.js';
import type { RecordCoder } from './record-coder.js';

export class PackReading {
  /** How records stand in these packs. */
  readonly records: RecordCoder;
  readonly files: PackDirectory;
  protected readonly readers: PackReaders;

  constructor(directory: string, facts: PackFacts) {
    this.records = facts.records;
    this.files = new PackDirectory(directory);
    this.readers = new PackReaders((pack) => this.file(pack), facts);
  }

  file(pack: number): string {
    return this.files.file(pack);
  }

  /** Numbers of all packs on disk, ascending. */
  list(): Promise<number[]> {
    return this.files.list();
  }

  /** Packs that commits wrote, in the order in which they were written. */
  async commits(): Promise<number[]> {
    return (await this.list()).filter((pack) => !isCompacted(pack));
  }

  /** Bytes of a pack: of a dense one, those of the plain pack that it stands for. */
  async length(pack: number): Promise<number> {
    const bytes = await this.fileBytes(pack);
    return bytes > PACK_HEADER_BYTES ? ((await this.readers.denseLength(pack)) ?? bytes) : bytes;
  }

  /** Bytes of a pack on disk. */
  async fileBytes(pack: number): Promise<number> {
    try {
      return (await stat(this.file(pack))).size;
    } catch (error) {
      throw fromSystemError(error, 'look at', this.file(pack));
    }
  }

  /** As `isDense`, of a pack that records are known to stand in: without asking the system how long it is. */
  async isOpenDense(pack: number): Promise<boolean> {
    return (await this.readers.denseLength(pack)) !== null;
  }

  /** Nothing is appended to such a pack, and nothing is cut off: everything in it was committed. */
  async isDense(pack: number): Promise<boolean> {
    return (await this.fileBytes(pack)) > PACK_HEADER_BYTES && (await this.readers.denseLength(pack)) !== null;
  }

  /** As `isDense`. Throws DK_IO when the disk does not give what would tell that it is. */
  async isSurelyDense(pack: number): Promise<boolean> {
    return (await this.fileBytes(pack)) > PACK_HEADER_BYTES && (await this.readers.denseLength(pack, true)) !== null;
  }

  /** Closes a pack that is about to be moved away. */
  forget(pack: number): Promise<void> {
    return this.readers.forget(pack);
  }

  /**
   * What is wrong with a pack's header, or null. Throws DK_CORRUPT_PACK for a pack that is another's, and DK_IO for a header
   * that the disk does not give, unless it is looked at `loosely`.
   */
  headerDamage(pack: number, loosely = false): Promise<DiffKeeperError | null> {
    return this.readers.headerDamage(pack, loosely);
  }

  /**
   * The first byte from here on of which there may be anything: what a damaged part of a dense pack stood for is passed over.
   *
   * @param lost so is what the disk does not give of a dense pack, which is told to it
   */
  soundFrom(pack: number, offset: number, lost?: LostBytes): Promise<number> {
    return this.readers.soundFrom(pack, offset, lost);
  }

  /** Bytes of a pack, fewer than asked when the pack ends before; in `into` when there is one, of at least `bytes`. */
  read(pack: number, offset: number, bytes: number, into?: Buffer): Promise<Buffer> {
    return this.readers.read(pack, { offset, bytes }, into);
  }

  /** As `read`, with zeros for what the disk does not give of a dense pack; of a plain one it throws DK_IO as `read` does. */
  readPast(pack: number, where: Stretch, lost: LostBytes): Promise<Buffer> {
    return this.readers.readPast(pack, where, lost);
  }

  /** Where bytes of a pack stand in its file; of a dense one, the groups that stand for them. */
  fileStretches(pack: number, where: Stretch): Promise<Stretch[]> {
    return this.readers.fileStretches(pack, where);
  }

  /** Bytes of the file of a pack, dense or not. */
  readFile(pack: number, offset: number, bytes: number): Promise<Buffer> {
    return this.readers.readFile(pack, offset, bytes);
  }

  /** Many pieces of a pack in one crossing: see `Engine.readRuns`. */
  readRuns(pack: number, runs: Float64Array, into: Buffer, direct = false): Promise<Float64Array> {
    return this.readers.readRuns(pack, runs, into, direct);
  }

  /** See `Engine.readChain`. */
  readChain(pack: number, place: ChainPlace, algo: HashAlgo): Promise<Buffer | null> {
    return this.readers.readChain(pack, place, algo);
  }

  /** Does something with the descriptors of packs, which stay open as long; in the place of dense ones there is -1. @param packs few */
  withDescriptors<T>(packs: readonly number[], work: (fds: Int32Array) => Promise<T>): Promise<T> {
    return this.readers.withDescriptors(packs, work);
  }

  /** See `Engine.readSlices`; without a room, `Engine.prefetchSlices`. @param packs few, null for those left out */
  readSlices(
    packs: readonly (number | null)[],
    what: { readonly slices: FileSlices; readonly range: SliceRange; readonly into?: Buffer },
  ): Promise<Uint32Array> {
    return this.readers.readSlices(packs, what);
  }

  /** Asks the system to fetch pieces of a pack that will be read soon. */
  prefetch(pack: number, runs: Float64Array): Promise<void> {
    return this.readers.prefetch(pack, runs);
  }
}
