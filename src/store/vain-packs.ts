/** Advisory: closed packs that it did not pay to write anew, so that nobody tries them again and again. */
import { join } from 'node:path';
import { ByteReader, ByteWriter } from '../format/format.js';
import { type CacheWays, readSealedFile, writeSealedFile } from './sealed-file.js';

const MAGIC = Buffer.from('DKVAIN01', 'latin1');
/** Of one pack: its number and its length, so many bytes at most. */
const ROW_BYTES = 16;
const PACKS_MAX = 1 << 20;

export interface VainPacksPlace extends CacheWays {
  readonly cachePath: string;
  readonly storeId: string;
}

export class VainPacks {
  readonly #place: VainPacksPlace;
  readonly #file: string;
  readonly #about: Buffer;
  /** Bytes by pack: one that is longer or shorter now is another one. */
  readonly #packs = new Map<number, number>();

  private constructor(place: VainPacksPlace) {
    this.#place = place;
    this.#file = join(place.cachePath, 'vain-packs');
    this.#about = Buffer.concat([MAGIC, Buffer.from(place.storeId, 'hex')]);
  }

  /** What is known; nothing when the file is not whole. */
  static async read(place: VainPacksPlace): Promise<VainPacks> {
    const vain = new VainPacks(place);
    const bytes = await readSealedFile(place, vain.#file, vain.#about, PACKS_MAX * ROW_BYTES);
    if (!bytes) return vain;
    const reader = new ByteReader(bytes, 'DK_CORRUPT_INDEX', 'packs that do not pay');
    while (reader.left > 0) vain.#packs.set(reader.varint(), reader.varint());
    return vain;
  }

  has(pack: number, bytes: number): boolean {
    return this.#packs.get(pack) === bytes;
  }

  /** Forgets packs that are not there any more. */
  async add(pack: number, bytes: number, present: readonly number[]): Promise<void> {
    const there = new Set(present);
    for (const known of this.#packs.keys()) if (!there.has(known)) this.#packs.delete(known);
    this.#packs.set(pack, bytes);
    const writer = new ByteWriter(this.#packs.size * ROW_BYTES);
    for (const [known, length] of [...this.#packs].slice(-PACKS_MAX)) writer.varint(known).varint(length);
    // Should it be lost, they are tried once more.
    await writeSealedFile(this.#place, this.#file, this.#about, writer.finish()).catch(() => {});
  }
}
