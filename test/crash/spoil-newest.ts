/** Damages what the newest commit of a store wrote last, so that only the metadata still has it. Nobody may have the store open. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { PACK_HEADER_BYTES, RECORD, RECORD_MIN_BYTES } from '../../src/format/format.js';

/** The checkpoint record, and of a store that is not encrypted the record of versions before it. */
export function spoilNewest(store: string, encrypted: boolean): void {
  const packs = readdirSync(path.join(store, 'packs')).sort();
  const file = path.join(store, 'packs', packs[packs.length - 1] as string);
  const bytes = readFileSync(file);
  const spoilt = [bytes.length - 20, ...(encrypted ? [] : [lastVersions(bytes)])];
  for (const at of spoilt) bytes[at] = (bytes[at] as number) ^ 4;
  writeFileSync(file, bytes);
}

/** A byte in the payload of the last record of versions. */
function lastVersions(bytes: Buffer): number {
  let found = 0;
  for (let at = PACK_HEADER_BYTES; at < bytes.length; ) {
    const next = at + RECORD_MIN_BYTES + bytes.readUInt32LE(at + 8) + bytes.readUInt32LE(at + 16);
    if (bytes[at + 4] === RECORD.versions) found = next - 10;
    at = next;
  }
  if (found === 0) throw new Error('there is no record of versions');
  return found;
}
