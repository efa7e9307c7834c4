/** Where content says that it is to be cut, and what it has in common with other content: wherever it stands. */
import { checkBytes, checkCut } from './check-arguments.js';

export interface CutOptions {
  readonly minBytes: number;
  readonly averageBytes: number;
  readonly maxBytes: number;
}

/** Features of one sketch. */
export const SKETCH_FEATURES = 4;

export interface ContentVerbs {
  /** FastCDC: lengths of the pieces; they add up to the data. Same cuts in both implementations. */
  cut(data: Uint8Array, options: CutOptions): Promise<Uint32Array>;
  /**
   * `SKETCH_FEATURES` features of each of several pieces: the smallest gear hashes of its stretches of 64 bytes. Two pieces
   * with most of their content in common have most features in common. 0 is no feature: short or periodic content has fewer.
   * The same in both implementations. A hint and no proof: whoever makes the content can make the features.
   *
   * @param pieces pairs (offset, length) in the data
   */
  sketchMany(data: Uint8Array, pieces: Uint32Array): Promise<Uint32Array>;
}

function checkWithin(data: Uint8Array, pieces: Uint32Array): void {
  if (!(pieces instanceof Uint32Array)) throw new TypeError('pieces must be a Uint32Array');
  if (pieces.length % 2 !== 0) throw new RangeError('pieces must be pairs of an offset and a length');
  for (let i = 0; i < pieces.length; i += 2) {
    const end = (pieces[i] as number) + (pieces[i + 1] as number);
    if (end > data.length) throw new RangeError(`a piece ends at byte ${end}, the data has ${data.length}`);
  }
}

/** The verbs with their arguments checked. */
export function guardContent(inner: ContentVerbs): ContentVerbs {
  return {
    async cut(data, options) {
      checkBytes(data, 'data');
      checkCut(options);
      return inner.cut(data, options);
    },
    async sketchMany(data, pieces) {
      checkBytes(data, 'data');
      checkWithin(data, pieces);
      return inner.sketchMany(data, pieces);
    },
  };
}
