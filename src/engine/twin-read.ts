/** Reading whole small files and symbolic links for the twin (`Engine.readFiles`). Extended attributes stay empty. */
import { constants } from 'node:fs';
import { open, readlink } from 'node:fs/promises';
import { type BytePath, readFully, systemCode } from '../core/core.js';
import { ENTRY, type Engine, type FileBatch, STAT, STAT_COLUMNS } from './engine.js';
import { failedRow, fullPath, lookAt, negativeErrno, ParentCheck, sameContent, statRow } from './twin-beneath.js';
import { digestBytes, warmHashes } from './twin-hash.js';

type Options = Parameters<Engine['readFiles']>[0];

const CHANGED = 1;
const TOO_LARGE = 2;
const NO_BYTES = Buffer.alloc(0);

/** One entry as read. */
interface ReadEntry {
  readonly status: number;
  readonly row: BigInt64Array;
  readonly data: Buffer;
}

/** Flags that neither follow a link nor wait for the other end of a FIFO. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

async function readRegular(root: string, path: BytePath, bytesMax: number): Promise<ReadEntry> {
  const file = await open(fullPath(root, path), READ_FLAGS);
  try {
    const row = statRow(await file.stat({ bigint: true }));
    if (row[STAT.type] !== BigInt(ENTRY.file)) return { status: CHANGED, row, data: NO_BYTES };
    const size = Number(row[STAT.size]);
    if (size > bytesMax) return { status: TOO_LARGE, row, data: NO_BYTES };
    const data = Buffer.alloc(size);
    const got = await readFully(file, data, 0);
    const after = statRow(await file.stat({ bigint: true }));
    if (got < size || !sameContent(row, after)) return { status: CHANGED, row: after, data: NO_BYTES };
    return { status: 0, row: after, data };
  } finally {
    await file.close();
  }
}

async function readLink(root: string, path: BytePath, row: BigInt64Array): Promise<ReadEntry> {
  const data = await readlink(fullPath(root, path), { encoding: 'buffer' });
  const after = statRow(await lookAt(root, path));
  return sameContent(row, after) ? { status: 0, row, data } : { status: CHANGED, row: after, data: NO_BYTES };
}

async function readEntry(parents: ParentCheck, path: BytePath, bytesMax: number): Promise<ReadEntry> {
  try {
    await parents.check(path);
    const row = statRow(await lookAt(parents.root, path));
    if (row[STAT.type] === BigInt(ENTRY.file)) return await readRegular(parents.root, path, bytesMax);
    if (row[STAT.type] === BigInt(ENTRY.symlink)) return await readLink(parents.root, path, row);
    return { status: 0, row, data: NO_BYTES };
  } catch (error) {
    // A link put in place of the file between the two looks: try again, as for any change.
    if (systemCode(error) === 'EINVAL') return { status: CHANGED, row: failedRow(error), data: NO_BYTES };
    return { status: negativeErrno(error), row: new BigInt64Array(STAT_COLUMNS), data: NO_BYTES };
  }
}

/** See `Engine.readFiles`. */
export async function readFiles(options: Options): Promise<FileBatch> {
  await warmHashes();
  const parents = new ParentCheck(options.root);
  const entries: ReadEntry[] = [];
  let bytes = 0;
  for (const path of options.paths) {
    const entry = await readEntry(parents, path, options.fileBytesMax);
    if (entries.length > 0 && bytes + entry.data.length > options.totalBytesMax) break;
    entries.push(entry);
    bytes += entry.data.length;
  }
  const done = entries.length;
  const rows = new BigInt64Array(done * STAT_COLUMNS);
  const digests = Buffer.alloc(done * 32);
  for (const [i, entry] of entries.entries()) {
    rows.set(entry.row, i * STAT_COLUMNS);
    if (entry.status === 0) digests.set(digestBytes(options.algo, entry.data), i * 32);
  }
  return {
    done,
    status: Int32Array.from(entries, (entry) => entry.status),
    rows,
    lengths: Uint32Array.from(entries, (entry) => entry.data.length),
    data: Buffer.concat(entries.map((entry) => entry.data)),
    digests,
    xattrLengths: new Uint32Array(done),
    xattrs: Buffer.alloc(0),
  };
}
