/** Damages one record of a pack of a store that is not encrypted. */
import { readFile, writeFile } from 'node:fs/promises';
import { PACK_HEADER_BYTES, RECORD_MIN_BYTES } from '../../src/format/format.js';

/** Flips a bit in the payload of the n-th record of a kind, the first by default. Nobody may append meanwhile. */
export async function flipRecord(file: string, kind: number, nth = 1): Promise<void> {
  const bytes = await readFile(file);
  let found = 0;
  for (let at = PACK_HEADER_BYTES; at < bytes.length; ) {
    const length = RECORD_MIN_BYTES + bytes.readUInt32LE(at + 8) + bytes.readUInt32LE(at + 16);
    if (bytes[at + 4] === kind) found += 1;
    if (found === nth) {
      bytes[at + length - 10] = (bytes[at + length - 10] as number) ^ 4;
      return writeFile(file, bytes);
    }
    at += length;
  }
  throw new Error('there is no such record');
}
