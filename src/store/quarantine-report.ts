/** What lies in the quarantine: nobody uses it, and it may be all that is left of something. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fromSystemError, systemCode } from '../core/core.js';
import { asideName } from './aside.js';
import type { QuarantineItem, QuarantineReport } from './types.js';

type Kind = QuarantineItem['kind'];

/** What names of metadata that was put aside begin with. */
export const QUARANTINE_OF_METADATA = 'meta-';

/** By what the names begin with. */
const KINDS: readonly (readonly [string, Kind])[] = [
  ['end-of-', 'packEnd'],
  ['damaged-', 'stretch'],
  ['unreadable-', 'unreadable'],
  ['unsealed-', 'pack'],
  [QUARANTINE_OF_METADATA, 'metadata'],
];

function kindOf(name: string): Kind {
  return KINDS.find(([start]) => name.startsWith(start))?.[1] ?? (asideName(name) === 'repair' ? 'report' : 'other');
}

/** Throws DK_IO. */
export async function quarantineReport(path: string): Promise<QuarantineReport> {
  const items = new Map<Kind, { kind: Kind; entries: number; bytes: number }>();
  try {
    for (const name of await namesIn(path)) {
      const kind = kindOf(name);
      const item = items.get(kind) ?? { kind, entries: 0, bytes: 0 };
      items.set(kind, item);
      item.entries += 1;
      item.bytes += await bytesOf(join(path, name));
    }
  } catch (error) {
    throw fromSystemError(error, 'look at', path);
  }
  const all = [...items.values()];
  const entries = all.reduce((sum, item) => sum + item.entries, 0);
  return { path, entries, bytes: all.reduce((sum, item) => sum + item.bytes, 0), items: all };
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Of a directory, of all in it; what goes away meanwhile counts nothing. */
async function bytesOf(file: string): Promise<number> {
  try {
    const found = await stat(file);
    if (!found.isDirectory()) return found.size;
    let bytes = 0;
    for (const name of await namesIn(file)) bytes += await bytesOf(join(file, name));
    return bytes;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
}
