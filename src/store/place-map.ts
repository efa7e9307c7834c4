/** Where the records of one pack went, by where they stood: 21 bytes for each, of which there may be a million. */
import type { RecordPlace } from './blob-index.js';
import { lowerBound } from './lower-bound.js';

const FIRST_ROWS = 1024;

export interface NewPlace extends RecordPlace {
  /** It is stored as it is now, whatever it was coded against before. */
  readonly plain: boolean;
}

export class PlaceMap {
  readonly #pack: number;
  #count = 0;
  #from = new Float64Array(FIRST_ROWS);
  #to = new Float64Array(FIRST_ROWS);
  #bytes = new Uint32Array(FIRST_ROWS);
  #plain = new Uint8Array(FIRST_ROWS);
  #sorted = true;

  constructor(pack: number) {
    this.#pack = pack;
  }

  add(from: number, to: Omit<NewPlace, 'pack'>): void {
    if (this.#count === this.#from.length) this.#setRows(Math.max(FIRST_ROWS, this.#count * 2), (row) => row);
    const row = this.#count;
    this.#from[row] = from;
    this.#to[row] = to.offset;
    this.#bytes[row] = to.recordBytes;
    this.#plain[row] = Number(to.plain);
    this.#count += 1;
    this.#sorted = false;
  }

  /** @param source which of the rows comes in which place */
  #setRows(rows: number, source: (row: number) => number): void {
    const [from, to, bytes, plain] = [this.#from, this.#to, this.#bytes, this.#plain];
    this.#from = new Float64Array(rows);
    this.#to = new Float64Array(rows);
    this.#bytes = new Uint32Array(rows);
    this.#plain = new Uint8Array(rows);
    for (let row = 0; row < this.#count; row += 1) {
      const old = source(row);
      this.#from[row] = from[old] as number;
      this.#to[row] = to[old] as number;
      this.#bytes[row] = bytes[old] as number;
      this.#plain[row] = plain[old] as number;
    }
  }

  #sort(): void {
    const from = this.#from;
    const order = Uint32Array.from({ length: this.#count }, (_, row) => row);
    order.sort((one, other) => (from[one] as number) - (from[other] as number));
    this.#setRows(this.#count, (row) => order[row] as number);
    this.#sorted = true;
  }

  /** The new place; null for one in another pack, or where no record stood. */
  find({ pack, offset }: RecordPlace): NewPlace | null {
    if (pack !== this.#pack) return null;
    if (!this.#sorted) this.#sort();
    const row = lowerBound(this.#from.subarray(0, this.#count), offset, (from) => from);
    if (row === this.#count || this.#from[row] !== offset) return null;
    const recordBytes = this.#bytes[row] as number;
    return { pack, offset: this.#to[row] as number, recordBytes, plain: this.#plain[row] === 1 };
  }
}
