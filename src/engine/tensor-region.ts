/** The part of the `Engine` interface about arrays of floats. */
import type { Effort } from './engine.js';

/** Where the target of `tensorDiff` holds numbers. Regions are ascending and do not overlap. */
export interface TensorRegion {
  /** First byte in the target. */
  readonly begin: number;
  readonly bytes: number;
  /** Bytes of an element. */
  readonly width: 2 | 4 | 8;
  /** First byte of the same elements in the source; absent when there are none. */
  readonly source?: number;
}

export interface TensorVerbs {
  /**
   * The `tensor` engine: payload that turns `source` into `target` (docs/format-tensor.md). Whether the regions are
   * right decides only how small it gets.
   */
  tensorDiff(source: Uint8Array, target: Uint8Array, effort: Effort, regions: readonly TensorRegion[]): Promise<Buffer>;
  /** Throws DK_CORRUPT_DELTA when the payload does not decode to exactly `targetBytes`. */
  tensorPatch(source: Uint8Array, payload: Uint8Array, targetBytes: number): Promise<Buffer>;
}

/** As the addon takes them: four numbers each, -1 where there is no source. */
export function packRegions(regions: readonly TensorRegion[]): Float64Array {
  return Float64Array.from(regions.flatMap(({ begin, bytes, width, source = -1 }) => [begin, bytes, width, source]));
}
