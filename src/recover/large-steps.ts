/** In which steps a large file is read and written. */
import { LIMITS } from '../core/core.js';
import { type Digest, digestKey } from '../format/format.js';
import type { VersionReader } from '../store/store.js';

/** A whole window: neighbouring steps then need few blobs of each other's. */
export const STEP_BYTES_MAX = LIMITS.windowBytes;
/** Files of at most this take shorter steps, so that reading and writing them overlap. */
const SHORT_FILE_BYTES = LIMITS.regionBytes;
const SHORT_STEP_BYTES = 2 << 20;

export interface Step {
  readonly offset: number;
  readonly bytes: number;
}

/** The steps of a file that is not empty, none longer than `STEP_BYTES_MAX`. Throws what keeps its recipe away. */
export async function stepsOf(reader: VersionReader): Promise<Step[]> {
  const { size } = reader.version;
  const short = size <= SHORT_FILE_BYTES ? await shortSteps(reader) : null;
  if (short) return short;
  const steps: Step[] = [];
  for (let offset = 0; offset < size; offset += STEP_BYTES_MAX) {
    steps.push({ offset, bytes: Math.min(STEP_BYTES_MAX, size - offset) });
  }
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
