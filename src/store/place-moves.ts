/** What the metadata names in a pack that is written anew: found while captures go on, changed while they wait. */
import { throwIfAborted } from '../core/core.js';
import { ByteWriter, RECORD } from '../format/format.js';
import { decodeBlobInfo, encodeBlobInfo, encodePlace } from './blob-index.js';
import { kindFacts } from './dictionary-list.js';
import { decodeVersionPlace, movedCheckpoint } from './index-changes.js';
import type { MetaChange } from './meta.js';
import { KEY_LETTER, prefixRange } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import type { PlaceMap } from './place-map.js';

const LETTERS = [KEY_LETTER.blob, KEY_LETTER.version, KEY_LETTER.checkpoint];
const FIRST_BYTES = 64 << 10;
const LENGTH_BYTES = 4;
const BATCH = 1000;

/** Keys one after the other, each with its length before it: there may be as many as records in a pack. */
class KeyList {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #end = 0;

  add(key: Buffer): void {
    const end = this.#end + LENGTH_BYTES + key.length;
    if (end > this.#bytes.length) {
      const more = Buffer.allocUnsafe(Math.max(end, 2 * this.#bytes.length));
      this.#bytes.copy(more, 0, 0, this.#end);
      this.#bytes = more;
    }
    this.#bytes.writeUInt32LE(key.length, this.#end);
    this.#bytes.set(key, this.#end + LENGTH_BYTES);
    this.#end = end;
  }

  *batches(count: number): Generator<Buffer[]> {
    for (let at = 0; at < this.#end; ) {
      const keys: Buffer[] = [];
      while (keys.length < count && at < this.#end) {
        const from = at + LENGTH_BYTES;
        at = from + this.#bytes.readUInt32LE(at);
        keys.push(this.#bytes.subarray(from, at));
      }
      yield keys;
    }
  }
}

export class PlaceMoves {
  readonly #places: PlaceMap;
  readonly #keys = new KeyList();

  private constructor(places: PlaceMap) {
    this.#places = places;
  }

  /**
   * Walks over the whole index. Nothing is appended to the pack any more, so that whatever names a place in it later was
   * there already, or the metadata was opened or made anew meanwhile. Throws DK_CORRUPT_INDEX, DK_ABORTED.
   */
  static async find(meta: MetaReader, places: PlaceMap, signal: AbortSignal | undefined): Promise<PlaceMoves> {
    const moves = new PlaceMoves(places);
    for (const letter of LETTERS) {
      for await (const entries of meta.range(prefixRange(Buffer.from([letter])))) {
        throwIfAborted(signal);
        for (const [key, value] of entries) if (moves.#moved(key, value)) moves.#keys.add(key);
      }
    }
    return moves;
  }

  /** The changes as the metadata is now: takes as long as the pack has records, not as the store has. */
  async *changes(meta: MetaReader): AsyncGenerator<MetaChange> {
    for (const keys of this.#keys.batches(BATCH)) {
      const values = await meta.getMany(keys);
      for (const [index, key] of keys.entries()) {
        const value = values[index];
        const moved = value && this.#moved(key, value);
        if (moved) yield { key, value: moved };
      }
    }
  }

  /** The value with its new places; null when it names none in the pack. Throws DK_CORRUPT_INDEX. */
  #moved(key: Buffer, value: Buffer): Buffer | null {
    const places = this.#places;
    if (key[0] === KEY_LETTER.blob) {
      const info = decodeBlobInfo(value, key.subarray(1));
      const place = places.find(info);
      if (!place) return null;
      const { plain, ...moved } = place;
      const depth = plain ? 0 : info.depth;
      // Nothing is coded with a dictionary any more.
      const kind = plain && kindFacts(info.kind).kind === RECORD.blob ? RECORD.blob : info.kind;
      return encodeBlobInfo({ ...info, ...moved, depth }, kind);
    }
    if (key[0] === KEY_LETTER.version) {
      const { place, index } = decodeVersionPlace(value);
      const moved = places.find(place);
      return moved && encodePlace(new ByteWriter(16), moved).varint(index).finish();
    }
    return movedCheckpoint(value, (place) => places.find(place));
  }
}
