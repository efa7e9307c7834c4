/** Which version of each path was the newest at a checkpoint, by the keys of the metadata alone. */
import type { BytePath } from '../core/core.js';
import type { RecordPlace } from './blob-index.js';
import { decodeVersionPlace } from './index-changes.js';
import { type KeyRange, ownVersionRange, versionKey, versionKeyFacts } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';

/** Versions of one path that are walked over, fewer than are read at first; of a longer history the one that counts is looked up. */
const WALKED = 48;

export interface VersionPointer {
  readonly path: BytePath;
  readonly sequence: number;
  readonly place: RecordPlace;
  readonly index: number;
}

interface Candidate {
  readonly path: BytePath;
  readonly sequence: number;
  readonly value: Buffer;
}

function pointer({ path, sequence, value }: Candidate): VersionPointer {
  return { path, sequence, ...decodeVersionPlace(value) };
}

/** One for each path of the range that had a version by then, also one that was removed: lists in the order of the keys. */
export async function* pointersAt(
  meta: MetaReader,
  range: KeyRange,
  sequence: number,
): AsyncGenerator<VersionPointer[]> {
  for (let from: Buffer | null = range.gte; from !== null; ) {
    const long: BytePath | null = yield* walk(meta, { gte: from, lt: range.lt }, sequence);
    from = null;
    if (long === null) continue;
    const until = { gte: versionKey(long, 0), lt: versionKey(long, sequence + 1) };
    for await (const entries of meta.range(until, { reverse: true, limit: 1 })) {
      yield entries.map(([key, value]) => pointer({ ...versionKeyFacts(key), value }));
    }
    from = ownVersionRange(long).lt;
  }
}

/** Goes through the range; gives back the path whose history is too long to be walked over, and where it stopped. */
async function* walk(
  meta: MetaReader,
  range: KeyRange,
  sequence: number,
): AsyncGenerator<VersionPointer[], BytePath | null> {
  let path: BytePath | null = null;
  let walked = 0;
  let newest: Candidate | null = null;
  for await (const entries of meta.range(range)) {
    const found: VersionPointer[] = [];
    for (const [key, value] of entries) {
      const facts = versionKeyFacts(key);
      if (facts.path !== path) {
        if (newest) found.push(pointer(newest));
        ({ path } = facts);
        [newest, walked] = [null, 0];
      }
      if (facts.sequence <= sequence) newest = { ...facts, value };
      walked += 1;
      if (walked < WALKED || !meta.isOrdered) continue;
      yield found;
      return path;
    }
    yield found;
  }
  if (newest) yield [pointer(newest)];
  return null;
}
