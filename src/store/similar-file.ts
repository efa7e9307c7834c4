/**
 * The table of similar contents beside the store: `similar-0`, `similar-1`, ... in the cache directory, one segment each, of which a
 * capture writes the last. Advisory: what is lost, damaged or of another store is less that is found again.
 *
 *   magic 8 | store id 16 | number of the file u8 | payload bytes u64 | XXH3-64 u64 | payload
 *   payload := number of the segment u32 | rows (similar-table.ts)          segment n stands in file n mod files
 */
import { join } from 'node:path';
import { type CacheWays, readSealedFile, writeSealedFile } from './sealed-file.js';
import { SEGMENT_BYTES, SEGMENTS } from './similar-table.js';

const MAGIC = Buffer.from('DKSIMI01', 'latin1');
const NUMBER_BYTES = 4;
/** No store ever has as many: a larger number is none of ours. */
const NUMBER_MAX = 2 ** 31;
/** Header, number and rows. */
const FILE_BYTES_MAX = SEGMENT_BYTES + 256;

export interface SimilarPlace extends CacheWays {
  readonly cachePath: string;
  readonly storeId: string;
}

function fileOf({ cachePath }: SimilarPlace, file: number): string {
  return join(cachePath, `similar-${file}`);
}

function aboutOf({ storeId }: SimilarPlace, file: number): Buffer {
  return Buffer.concat([MAGIC, Buffer.from(storeId, 'hex'), Buffer.of(file)]);
}

/** Whatever there is, by the numbers of the segments. */
export async function readSegments(place: SimilarPlace): Promise<Map<number, Buffer>> {
  const segments = new Map<number, Buffer>();
  for (let file = 0; file < SEGMENTS; file += 1) {
    const payload = await readSealedFile(place, fileOf(place, file), aboutOf(place, file), FILE_BYTES_MAX);
    if (payload === undefined || payload.length < NUMBER_BYTES) continue;
    const number = payload.readUInt32LE(0);
    if (number < NUMBER_MAX && number % SEGMENTS === file) segments.set(number, payload.subarray(NUMBER_BYTES));
  }
  return segments;
}

/** Throws what keeps it from being written. */
export async function writeSegment(place: SimilarPlace, number: number, rows: Buffer): Promise<void> {
  const file = number % SEGMENTS;
  const payload = Buffer.alloc(NUMBER_BYTES + rows.length);
  payload.writeUInt32LE(number, 0);
  payload.set(rows, NUMBER_BYTES);
  await writeSealedFile(place, fileOf(place, file), aboutOf(place, file), payload);
}
