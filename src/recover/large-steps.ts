/** In which steps a large file is read and written. */
import { LIMITS } from '../core/core.js';
import { type Digest, digestKey } from '../format/format.js';
import type { VersionReader } from '../store/store.js';

/** A whole window: neighbouring steps then need few blobs of each other's. */
export const STEP_BYTES_MAX = LIMITS.windowBytes;
/** Files of at most this take shorter steps, so that reading and writing them overlap. */
const SHORT_FILE_BYTES = LIMITS.regionBytes;
const SHORT_STEP_BYTES = 2 << 20;
/** As short as pays: a step costs a crossing or two for each eight packs. */
const SCATTERED_STEP_BYTES = 4 << 20;

export interface Steps {
  /** None longer than `STEP_BYTES_MAX`. */
  readonly steps: readonly Step[];
  /** It helps to tell the system of later steps before they are read. */
  readonly prefetch: boolean;
}

export interface Step {
  readonly offset: number;
  readonly bytes: number;
}

/** The steps of a file that is not empty. Throws what keeps its recipe away. */
export async function stepsOf(reader: VersionReader): Promise<Steps> {
  const { size } = reader.version;
  if (size > SHORT_FILE_BYTES) return { steps: evenSteps(size, STEP_BYTES_MAX), prefetch: true };
  if (await reader.isScattered()) return { steps: evenSteps(size, SCATTERED_STEP_BYTES), prefetch: false };
  return { steps: (await shortSteps(reader)) ?? evenSteps(size, STEP_BYTES_MAX), prefetch: true };
}

function evenSteps(size: number, bytes: number): Step[] {
  const steps: Step[] = [];
  for (let offset = 0; offset < size; offset += bytes) steps.push({ offset, bytes: Math.min(bytes, size - offset) });
  return steps;
}

/** Steps that end where blobs end; null when steps would share blobs, which each would decode for itself. */
async function shortSteps(reader: VersionReader): Promise<Step[] | null> {
  const steps: Step[] = [];
  const seen = new Set<string>();
  let offset = 0;
  let bytes = 0;
  for (const { digest, length } of await reader.extents(0, reader.version.size)) {
    if (digest === null || isKnown(seen, digest)) return null;
    bytes += length;
    if (bytes < SHORT_STEP_BYTES) continue;
    steps.push({ offset, bytes });
    offset += bytes;
    bytes = 0;
  }
  if (bytes > 0) steps.push({ offset, bytes });
  return steps;
}

function isKnown(seen: Set<string>, digest: Digest): boolean {
  const before = seen.size;
  seen.add(digestKey(digest));
  return seen.size === before;
}
