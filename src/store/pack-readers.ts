/** Packs opened for reading: a few at a time, their headers checked once. */
import type { FileHandle } from 'node:fs/promises';
import { constants } from 'node:os';
import {
  DiffKeeperError,
  errnoError,
  fromSystemError,
  isDiffKeeperError,
  readFully,
  systemClock,
} from '../core/core.js';
import type { ChainPlace, Engine, FileSlices, HashAlgo, SliceRange } from '../engine/engine.js';
import { type DensePack, type LostBytes, OpenGroups } from './dense-pack.js';
import type { PackFacts } from './pack-facts.js';
import { packName } from './pack-names.js';
import { type OpenFile, openPack } from './pack-open.js';
import { ReadLeases } from './read-leases.js';
import { isUnreadable } from './unreadable-blocks.js';

/** Two files are recovered at once, each from up to sixteen. */
const OPEN_READERS_MAX = 32;
const NONE = new Uint32Array(0);

/** What the disk did not give when a pack was opened it may give after so long, ms; each time it does not, after twice as long. */
const PARTIAL_MS = 10_000;
const PARTIAL_MS_MAX = 1_000_000;

export interface Stretch {
  readonly offset: number;
  readonly bytes: number;
}

/** An open pack, and who reads it by its descriptor: it is closed after they are done. */
interface OpenPack {
  readonly file: Promise<OpenFile>;
  readonly leases: ReadLeases;
  /** It is opened again from then on. */
  untilMs: number;
}

/** Pieces of a dense pack cannot be told by their place in the file. Never thrown out of this room. */
export class DenseSlices extends Error {}

export class PackReaders {
  readonly #file: (pack: number) => string;
  readonly #facts: PackFacts;
  readonly #engine: Engine;
  readonly #groups = new OpenGroups();
  readonly #open = new Map<number, OpenPack>();
  /** For how long packs were left as they were found when the disk did not give all of them, ms. */
  readonly #partial = new Map<number, number>();
  /** Damaged headers of packs that were opened for reading. */
  readonly #headers = new Map<number, DiffKeeperError>();

  /** @param file path of a pack */
  constructor(file: (pack: number) => string, facts: PackFacts) {
    this.#file = file;
    this.#facts = facts;
    this.#engine = facts.engine;
  }

  /** Closes a pack that is about to go, or to be written anew. */
  async forget(pack: number): Promise<void> {
    const open = this.#open.get(pack);
    this.#open.delete(pack);
    await open?.leases.ended();
    await open?.file.then(({ handle }) => handle.close()).catch(() => {});
  }

  async close(): Promise<void> {
    this.#groups.clear();
    for (const pack of [...this.#open.keys()]) await this.forget(pack);
  }

  /** Does something with a pack's descriptor, which stays open as long. */
  #with<T>(
    pack: number,
    work: (handle: FileHandle, dense: DensePack | null, partial: boolean) => Promise<T>,
  ): Promise<T> {
    const open = this.#openPack(pack);
    const { file, leases } = open;
    return leases.during(async () => {
      const { handle, dense, partial } = await file.catch((error: unknown) => {
        if (this.#open.get(pack)?.file === file) this.#open.delete(pack);
        throw error;
      });
      if (partial && open.untilMs === Number.POSITIVE_INFINITY)
        open.untilMs = systemClock.steadyMs() + this.#patience(pack);
      // Nobody waits for what this pack takes the place of.
      if (this.#open.size > OPEN_READERS_MAX) void this.forget(this.#open.keys().next().value as number);
      return work(handle, dense, partial);
    });
  }

  #patience(pack: number): number {
    const ms = Math.min(2 * (this.#partial.get(pack) ?? PARTIAL_MS / 2), PARTIAL_MS_MAX);
    this.#partial.set(pack, ms);
    return ms;
  }

  #openPack(pack: number): OpenPack {
    let open = this.#open.get(pack);
    // Nobody waits for who still reads by the old descriptor.
    if (open && systemClock.steadyMs() > open.untilMs) {
      void this.forget(pack);
      open = undefined;
    }
    this.#open.delete(pack);
    open ??= { file: this.#openFile(pack), leases: new ReadLeases(), untilMs: Number.POSITIVE_INFINITY };
    this.#open.set(pack, open);
    return open;
  }

  async #openFile(pack: number): Promise<OpenFile> {
    const opened = await openPack(this.#facts, { pack, file: this.#file(pack) }, this.#groups);
    if (opened.damage) this.#headers.set(pack, opened.damage);
    else this.#headers.delete(pack);
    return opened;
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
  read(pack: number, { offset, bytes }: Stretch, into?: Buffer): Promise<Buffer> {
    return this.#with(pack, async (handle, dense) => {
      const buffer = into?.subarray(0, bytes) ?? Buffer.allocUnsafe(bytes);
      return buffer.subarray(0, await this.#fill({ pack, handle, dense }, offset, buffer));
    });
  }

  /** See `Packs.readPast`. */
  readPast(pack: number, { offset, bytes }: Stretch, lost: LostBytes): Promise<Buffer> {
    return this.#with(pack, async (handle, dense) => {
      const buffer = Buffer.allocUnsafe(bytes);
      return buffer.subarray(0, await this.#fill({ pack, handle, dense, lost }, offset, buffer));
    });
  }

  /** See `Packs.readFile`. */
  readFile(pack: number, offset: number, bytes: number): Promise<Buffer> {
    return this.#with(pack, async (handle) => {
      const buffer = Buffer.allocUnsafe(bytes);
      return buffer.subarray(0, await this.#fill({ pack, handle, dense: null }, offset, buffer));
    });
  }

  async #fill(
    {
      pack,
      handle,
      dense,
      lost,
    }: Pick<OpenFile, 'handle' | 'dense'> & { readonly pack: number; readonly lost?: LostBytes },
    offset: number,
    into: Buffer,
  ): Promise<number> {
    try {
      return await (dense ? dense.read(offset, into, lost) : readFully(handle, into, offset));
    } catch (error) {
      throw fromSystemError(error, 'read', this.#file(pack));
    }
  }

  /** See `Packs.soundFrom`. */
  soundFrom(pack: number, offset: number, lost?: LostBytes): Promise<number> {
    return this.#with(pack, async (_handle, dense) => {
      try {
        return dense ? await dense.soundFrom(offset, lost) : offset;
      } catch (error) {
        throw fromSystemError(error, 'read', this.#file(pack));
      }
    });
  }

  /**
   * Bytes of the plain pack that a dense one stands for; null for a plain one, and for what is no pack of ours.
   *
   * @param surely throws DK_IO when the disk does not give what would tell that it is dense
   */
  async denseLength(pack: number, surely = false): Promise<number | null> {
    try {
      return await this.#with(pack, async (_handle, dense, partial) => {
        if (dense || !partial || !surely) return dense?.length ?? null;
        const message = `pack ${packName(pack)}: the disk does not give what tells whether it is dense`;
        throw new DiffKeeperError(
          'DK_IO',
          message,
          { path: this.#file(pack) },
          errnoError(-constants.errno.EIO, 'read'),
        );
      });
    } catch (error) {
      if (
        isDiffKeeperError(error) &&
        ['DK_CORRUPT_PACK', 'DK_STORE_FORMAT_NEWER', 'DK_UNSUPPORTED'].includes(error.code)
      )
        return null;
      throw error;
    }
  }

  /** See `Packs.fileStretches`. */
  fileStretches(pack: number, { offset, bytes }: Stretch): Promise<Stretch[]> {
    return this.#with(pack, async (_handle, dense) => dense?.fileStretches(offset, bytes) ?? [{ offset, bytes }]);
  }

  /** See `Packs.readRuns`. */
  readRuns(pack: number, runs: Float64Array, into: Buffer, direct = false): Promise<Float64Array> {
    return this.#with(pack, async (handle, dense) => {
      if (!dense) return this.#engine.readRuns(handle.fd, runs, into, direct);
      const got = new Float64Array(runs.length / 2);
      let at = 0;
      for (let run = 0; run < got.length; run += 1) {
        const bytes = runs[run * 2 + 1] as number;
        const room = into.subarray(at, at + bytes);
        got[run] = await this.#fill({ pack, handle, dense }, runs[run * 2] as number, room).catch((error: unknown) => {
          // As the engine says it of a plain pack: other runs may be whole.
          if (!isUnreadable(error)) throw error;
          return -constants.errno.EIO;
        });
        at += bytes;
      }
      return got;
    });
  }

  /** See `Packs.readChain`. */
  readChain(pack: number, place: ChainPlace, algo: HashAlgo): Promise<Buffer | null> {
    return this.#with(pack, async (handle, dense) =>
      dense ? dense.readBlob(place) : this.#engine.readChain(handle.fd, place, algo),
    );
  }

  /** See `Packs.readSlices`. */
  readSlices(
    packs: readonly (number | null)[],
    { slices, range, into }: { readonly slices: FileSlices; readonly range: SliceRange; readonly into?: Buffer },
  ): Promise<Uint32Array> {
    return this.withDescriptors(packs, async (fds, dense) => {
      if (into && dense !== null) throw new DenseSlices(`pack ${packName(dense)} is dense`);
      if (into) return this.#engine.readSlices(fds, slices, range, into);
      await this.#engine.prefetchSlices(fds, slices, range);
      return NONE;
    });
  }

  /** See `Packs.withDescriptors`. @param work also given a pack that is dense, if there is one */
  withDescriptors<T>(
    packs: readonly (number | null)[],
    work: (fds: Int32Array, dense: number | null) => Promise<T>,
  ): Promise<T> {
    const fds = new Int32Array(packs.length).fill(-1);
    let dense: number | null = null;
    const opened = (index: number): Promise<T> => {
      const pack = packs[index];
      if (pack === undefined) return work(fds, dense);
      if (pack === null) return opened(index + 1);
      return this.#with(pack, (handle, denseOne) => {
        if (denseOne) dense = pack;
        fds[index] = denseOne ? -1 : handle.fd;
        return opened(index + 1);
      });
    };
    return opened(0);
  }

  /** See `Packs.prefetch`. */
  prefetch(pack: number, runs: Float64Array): Promise<void> {
    return this.#with(pack, async (handle, dense) => {
      if (!dense) await this.#engine.prefetchRuns(handle.fd, runs);
    });
  }
}
