/** Reading schema 1: random access to a version, counts, verification. */
import { DiffKeeperError, throwIfAborted } from '../core/core.js';
import type { Digest, Extent, Version } from '../format/format.js';
import type { VersionReader } from './reading-types.js';
import type { SnapshotContents } from './snapshot-contents.js';
import type { FoundFile, SnapshotFiles } from './snapshot-files.js';
import type { DamageReport, StoreStats, VerifyOptions, VerifyReport } from './types.js';

/** @param readStored null when the content was replaced since */
export function snapshotReader(
  version: Version,
  readStored: (digest: Digest, offset: number, length: number) => Promise<Buffer | null>,
): VersionReader {
  const digest = version.digest as Digest;
  const read = async (offset: number, length: number): Promise<Buffer> => {
    if (length === 0) return Buffer.alloc(0);
    const bytes = await readStored(digest, offset, length);
    if (bytes) return bytes;
    throw new DiffKeeperError('DK_CORRUPT_RECIPE', `content ${digest.toString('hex')} is not stored any more`);
  };
  const readInto = async (offset: number, length: number, into: Buffer): Promise<Buffer> => {
    (await read(offset, length)).copy(into);
    return into.subarray(0, length);
  };
  return {
    version,
    extents: (offset, length): Promise<Extent[]> => Promise.resolve(length === 0 ? [] : [{ digest, offset, length }]),
    read: (offset, length, into) => (into ? readInto(offset, length, into) : read(offset, length)),
    readLoosely: readInto,
    isScattered: () => Promise.resolve(false),
    // Contents lie in LevelDB, which has no such call.
    prefetch: async () => {},
    readRanges: async (ranges) => {
      const parts: Buffer[] = [];
      for (let at = 0; at + 1 < ranges.length; at += 2) parts.push(await read(ranges[at] ?? 0, ranges[at + 1] ?? 0));
      return Buffer.concat(parts);
    },
  };
}

/** From whichever of equal files can be read. Null when there is none. @throws what the last of them is damaged by */
export async function readAnyCopy(
  copies: Iterable<FoundFile>,
  contents: SnapshotContents,
  range: { readonly offset: number; readonly length: number },
): Promise<Buffer | null> {
  let damage: unknown = null;
  for (const { path, facts } of copies) {
    try {
      return await contents.read(path, facts, range);
    } catch (error) {
      damage = error;
    }
  }
  if (damage !== null) throw damage;
  return null;
}

/** Whole contents by digest; what is missing or damaged is an error in its place. */
export async function readWholes(
  digests: readonly Digest[],
  read: (digest: Digest) => Promise<Buffer | null>,
): Promise<(Buffer | Error)[]> {
  const blobs: (Buffer | Error)[] = [];
  for (const digest of digests) {
    const missing = new DiffKeeperError('DK_CORRUPT_PACK', `content ${digest.toString('hex')} is not stored`);
    blobs.push(
      await read(digest).then(
        (bytes) => bytes ?? missing,
        (error: unknown) => error as Error,
      ),
    );
  }
  return blobs;
}

type Counts = Pick<StoreStats, 'entries' | 'files' | 'versions' | 'blobs' | 'treeBytes' | 'originalBytes' | 'depths'>;

export function countSnapshots({ facts, entries }: SnapshotFiles): Counts {
  let treeBytes = 0;
  for (const { size } of facts.values()) treeBytes += size;
  const files = facts.size;
  return { entries, files, versions: files, blobs: files, treeBytes, originalBytes: treeBytes, depths: [files] };
}

/** Unpacks every snapshot and compares its SHA-256; without `readData` the database's own checksums are all that is looked at. */
export async function verifySnapshots(
  parts: {
    readonly path: string;
    readonly files: SnapshotFiles;
    readonly contents: SnapshotContents;
  },
  options: VerifyOptions,
): Promise<VerifyReport> {
  const { contents } = parts;
  const { facts } = parts.files;
  const damage: DamageReport[] = [];
  const total = countSnapshots(parts.files).treeBytes;
  let bytes = 0;
  for (const [path, known] of facts) {
    throwIfAborted(options.signal);
    try {
      if (options.readData === false) await contents.value(path);
      else await contents.check(path, known);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      damage.push({ kind: 'version', where: parts.path, message, affected: [{ path, sequence: known.sequence }] });
    }
    bytes += known.size;
    options.onProgress?.(bytes, total);
  }
  const files = facts.size;
  const counts = { packs: 0, records: files, blobs: files, versions: files, checkpoints: files > 0 ? 1 : 0 };
  return { ...counts, bytes, blobsRead: counts.blobs, roots: 0, damage };
}
