/** Where the records of one pack went, by where they stood: 25 bytes for each, of which there may be a million. */
import type { RecordPlace } from './blob-index.js';
import { lowerBound } from './lower-bound.js';
import { sortRows } from './sort-rows.js';

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
  /** Rows by where they stood, once all are there. */
  #order: Uint32Array | null = null;

  constructor(pack: number) {
    this.#pack = pack;
  }

  add(from: number, to: Omit<NewPlace, 'pack'>): void {
    if (this.#count === this.#from.length) this.#grow();
    const row = this.#count;
    this.#from[row] = from;
    this.#to[row] = to.offset;
    this.#bytes[row] = to.recordBytes;
    this.#plain[row] = Number(to.plain);
    this.#count += 1;
    this.#order = null;
  }

  #grow(): void {
    const rows = this.#from.length * 2;
    const [from, to, bytes, plain] = [this.#from, this.#to, this.#bytes, this.#plain];
    this.#from = new Float64Array(rows);
    this.#to = new Float64Array(rows);
    this.#bytes = new Uint32Array(rows);
    this.#plain = new Uint8Array(rows);
    this.#from.set(from);
    this.#to.set(to);
    this.#bytes.set(bytes);
    this.#plain.set(plain);
  }

  /** All are there: before any is looked for. */
  async arrange(): Promise<void> {
    const from = this.#from;
    const order = Uint32Array.from({ length: this.#count }, (_, row) => row);
    await sortRows(order, (one, other) => (from[one] as number) - (from[other] as number));
    this.#order = order;
  }

  /** The new place; null for one in another pack, or where no record stood. */
  find({ pack, offset }: RecordPlace): NewPlace | null {
    if (pack !== this.#pack) return null;
    const order = this.#order;
    if (!order) throw new Error('places are looked for before all of them are known');
    const at = lowerBound(order, offset, (row) => this.#from[row] as number);
    const row = order[at];
    if (row === undefined || this.#from[row] !== offset) return null;
    const recordBytes = this.#bytes[row] as number;
    return { pack, offset: this.#to[row] as number, recordBytes, plain: this.#plain[row] === 1 };
  }
}
