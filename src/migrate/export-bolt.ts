/** A checkpoint as a BoltDB file of the older system's first schema: gzip per file, SHA-256, an empty `meta`. */
import {
  type BytePath,
  DiffKeeperError,
  type GzipValue,
  gzipWhole,
  pathBytes,
  pathToText,
  throwIfAborted,
} from '../core/core.js';
import { VERSION_TYPE, type Version } from '../format/format.js';
import type { Store } from '../store/store.js';
import { BoltOutput, BucketOutput } from './bolt-output.js';
import {
  chosenCheckpoint,
  chosenEntries,
  contentOf,
  damageOf,
  type ExportChoice,
  type LeftOut,
} from './checkpoint-content.js';

/** A value is compressed in memory before it is written. */
const CONTENT_BYTES_MAX = 1 << 30;
const AT_ONCE = 4;
const GROUP_BYTES = 8 << 20;

export interface ExportOptions extends ExportChoice {
  /** Files keep setuid, setgid and capabilities where the format has them. Default false: a stranger's store lends nobody's rights. */
  readonly setuid?: boolean;
  readonly signal?: AbortSignal;
  /** Content bytes written and in all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface ExportReport {
  /** Checkpoint that was exported. */
  readonly sequence: number;
  readonly entries: number;
  /** Content bytes. */
  readonly bytes: number;
  /** Bytes of what was written. */
  readonly writtenBytes: number;
  /** Files without the setuid or setgid bit, or the capabilities, that they have in the checkpoint. */
  readonly identityDropped: number;
  /** Entries that are damaged, that the format cannot hold, or that would lead whoever unpacks them out of the directory. */
  readonly leftOut: readonly { readonly path: string; readonly reason: string }[];
}

/** @throws DK_NOT_FOUND, DK_LIMIT (a file over 1 GiB), DK_IO, DK_DISK_FULL, DK_ABORTED, DK_CORRUPT_INDEX */
export async function exportBolt(store: Store, file: string, options: ExportOptions = {}): Promise<ExportReport> {
  const checkpoint = await chosenCheckpoint(store, options.at);
  const files: Version[] = [];
  const leftOut: LeftOut[] = [];
  for await (const version of chosenEntries(store, checkpoint, options, leftOut)) {
    if (version.type === VERSION_TYPE.file) files.push(version);
    else if (version.type === VERSION_TYPE.symlink) {
      leftOut.push({ path: pathToText(version.path), reason: 'the format has no symbolic links' });
    }
  }
  // Keys are in the order of their bytes, which is that of one-byte strings.
  files.sort((one, other) => (one.path < other.path ? -1 : 1));
  const output = await BoltOutput.create(file);
  try {
    const before = leftOut.length;
    const counts = await writeFiles(store, output, files, { ...options, leftOut });
    const entries = files.length - (leftOut.length - before);
    return { sequence: checkpoint.sequence, entries, ...counts, identityDropped: 0, leftOut };
  } catch (error) {
    await output.discard();
    throw error;
  }
}

async function writeFiles(
  store: Store,
  output: BoltOutput,
  files: readonly Version[],
  options: ExportOptions & { readonly leftOut: LeftOut[] },
): Promise<{ readonly bytes: number; readonly writtenBytes: number }> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const hashes: [BytePath, string][] = [];
  const deltas = new BucketOutput(output);
  let bytes = 0;
  for (let first = 0; first < files.length; ) {
    throwIfAborted(options.signal);
    const group = nextGroup(files, first);
    const values = await Promise.all(group.map((version) => compress(store, version)));
    for (const [index, version] of group.entries()) {
      const compressed = values[index] as GzipValue | string;
      if (typeof compressed === 'string') {
        options.leftOut.push({ path: pathToText(version.path), reason: compressed });
        continue;
      }
      const { value, sha256 } = compressed;
      await deltas.add(pathBytes(version.path), value);
      hashes.push([version.path, sha256.toString('hex')]);
      bytes += version.size;
    }
    first += group.length;
    options.onProgress?.(bytes, total);
  }
  const deltasRoot = await deltas.finish();
  const hashesOut = new BucketOutput(output);
  for (const [path, text] of hashes) await hashesOut.add(pathBytes(path), Buffer.from(text, 'latin1'));
  const hashesRoot = await hashesOut.finish();
  const metaRoot = await new BucketOutput(output).finish();
  const writtenBytes = await output.finish([
    { name: 'deltas', root: deltasRoot },
    { name: 'hashes', root: hashesRoot },
    { name: 'meta', root: metaRoot },
  ]);
  return { bytes, writtenBytes };
}

/** A few short files, or one. */
function nextGroup(files: readonly Version[], first: number): Version[] {
  const group: Version[] = [];
  let bytes = 0;
  for (let at = first; at < files.length && group.length < AT_ONCE; at += 1) {
    const version = files[at] as Version;
    bytes += version.size;
    if (group.length > 0 && bytes > GROUP_BYTES) break;
    group.push(version);
  }
  return group;
}

/** Its value; why its content cannot be had as a text. */
async function compress(store: Store, version: Version): Promise<GzipValue | string> {
  if (version.size > CONTENT_BYTES_MAX) {
    const path = pathToText(version.path);
    const message = `${path} has ${version.size} bytes: schema 1 holds files up to ${CONTENT_BYTES_MAX}`;
    throw new DiffKeeperError('DK_LIMIT', message, { path, expected: CONTENT_BYTES_MAX, actual: version.size });
  }
  try {
    return await gzipWhole(contentOf(store, version));
  } catch (error) {
    return damageOf(error);
  }
}
