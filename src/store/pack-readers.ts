/** Packs opened for reading: a few at a time, their headers checked once. */
import { type FileHandle, open } from 'node:fs/promises';
import { DiffKeeperError, fromSystemError, readFully, systemCode } from '../core/core.js';
import type { ChainPlace, Engine, FileSlices, HashAlgo, SliceRange } from '../engine/engine.js';
import { type Checksum, checkPackHeader, PACK_HEADER_BYTES } from '../format/format.js';
import { packName } from './pack-names.js';
import { ReadLeases } from './read-leases.js';
import { isUnreadable } from './unreadable-blocks.js';

/** Two files are recovered at once, each from up to sixteen. */
const OPEN_READERS_MAX = 32;
const NONE = new Uint32Array(0);

/** An open pack, and who reads it by its descriptor: it is closed after they are done. */
interface OpenPack {
  readonly handle: Promise<FileHandle>;
  readonly leases: ReadLeases;
}

export class PackReaders {
  readonly #engine: Engine;
  readonly #file: (pack: number) => string;
  readonly #storeId: Buffer;
  readonly #checksum: Checksum;
  readonly #open = new Map<number, OpenPack>();
  /** Damaged headers of packs that were opened for reading. */
  readonly #headers = new Map<number, DiffKeeperError>();

  /** @param file path of a pack */
  constructor(engine: Engine, file: (pack: number) => string, storeId: Buffer, checksum: Checksum) {
    this.#engine = engine;
    this.#file = file;
    this.#storeId = storeId;
    this.#checksum = checksum;
  }

  /** Closes a pack that is about to go, or to be written anew. */
  async forget(pack: number): Promise<void> {
    const open = this.#open.get(pack);
    this.#open.delete(pack);
    await open?.leases.ended();
    await open?.handle.then((one) => one.close()).catch(() => {});
  }

  async close(): Promise<void> {
    for (const pack of [...this.#open.keys()]) await this.forget(pack);
  }

  /** Does something with a pack's descriptor, which stays open as long. */
  #with<T>(pack: number, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    let open = this.#open.get(pack);
    this.#open.delete(pack);
    open ??= { handle: this.#openFile(pack), leases: new ReadLeases() };
    this.#open.set(pack, open);
    const { handle, leases } = open;
    return leases.during(async () => {
      const opened = await handle.catch((error: unknown) => {
        if (this.#open.get(pack)?.handle === handle) this.#open.delete(pack);
        throw error;
      });
      // Nobody waits for what this pack takes the place of.
      if (this.#open.size > OPEN_READERS_MAX) void this.forget(this.#open.keys().next().value as number);
      return work(opened);
    });
  }

  async #openFile(pack: number): Promise<FileHandle> {
    const file = this.#file(pack);
    let handle: FileHandle;
    try {
      handle = await open(file, 'r');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') {
        throw new DiffKeeperError('DK_CORRUPT_PACK', `pack ${packName(pack)} is missing`, { path: file });
      }
      throw fromSystemError(error, 'open', file);
    }
    try {
      const header = Buffer.alloc(PACK_HEADER_BYTES);
      const got = await readFully(handle, header, 0);
      const damage = checkPackHeader(header.subarray(0, got), pack, this.#storeId, this.#checksum);
      if (damage) this.#headers.set(pack, damage);
      else this.#headers.delete(pack);
      return handle;
    } catch (error) {
      const told = fromSystemError(error, 'read', file);
      // A header is a small part of a pack: what stands in the others is checked by itself.
      if (isUnreadable(told)) {
        this.#headers.set(pack, told);
        return handle;
      }
      await handle.close();
      throw told;
    }
  }

  /** See `Packs.headerDamage`. */
  async headerDamage(pack: number, loosely: boolean): Promise<DiffKeeperError | null> {
    const damage = await this.#with(pack, async () => this.#headers.get(pack) ?? null);
    if (damage?.code !== 'DK_IO' || loosely) return damage;
    // It may be read the next time.
    await this.forget(pack);
    throw damage;
  }

  /** See `Packs.read`. */
  read(
    pack: number,
    { offset, bytes }: { readonly offset: number; readonly bytes: number },
    into?: Buffer,
  ): Promise<Buffer> {
    return this.#with(pack, async (handle) => {
      const buffer = into?.subarray(0, bytes) ?? Buffer.allocUnsafe(bytes);
      const done = await readFully(handle, buffer, offset).catch((error: unknown) => {
        throw fromSystemError(error, 'read', this.#file(pack));
      });
      return buffer.subarray(0, done);
    });
  }

  /** See `Packs.readRuns`. */
  readRuns(pack: number, runs: Float64Array, into: Buffer): Promise<Float64Array> {
    return this.#with(pack, (handle) => this.#engine.readRuns(handle.fd, runs, into));
  }

  /** See `Packs.readChain`. */
  readChain(pack: number, place: ChainPlace, algo: HashAlgo): Promise<Buffer | null> {
    return this.#with(pack, (handle) => this.#engine.readChain(handle.fd, place, algo));
  }

  /** See `Packs.readSlices`. */
  readSlices(
    packs: readonly (number | null)[],
    { slices, range, into }: { readonly slices: FileSlices; readonly range: SliceRange; readonly into?: Buffer },
  ): Promise<Uint32Array> {
    const fds = new Int32Array(packs.length).fill(-1);
    const opened = async (index: number): Promise<Uint32Array> => {
      const pack = packs[index];
      if (pack === undefined) {
        if (into) return this.#engine.readSlices(fds, slices, range, into);
        await this.#engine.prefetchSlices(fds, slices, range);
        return NONE;
      }
      if (pack === null) return opened(index + 1);
      return this.#with(pack, (handle) => {
        fds[index] = handle.fd;
        return opened(index + 1);
      });
    };
    return opened(0);
  }

  /** See `Packs.prefetch`. */
  prefetch(pack: number, runs: Float64Array): Promise<void> {
    return this.#with(pack, (handle) => this.#engine.prefetchRuns(handle.fd, runs));
  }
}
