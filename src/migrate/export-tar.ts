/** A checkpoint as a tar archive, streamed: content, modes, owners, times, links, extended attributes. */
import { type BytePath, DiffKeeperError, pathToText, throwIfAborted } from '../core/core.js';
import { ByteReader, VERSION_TYPE, type Version } from '../format/format.js';
import type { Store } from '../store/store.js';
import { chosenCheckpoint, chosenEntries, contentOf } from './checkpoint-content.js';
import type { ExportOptions, ExportReport } from './export-bolt.js';
import { encodeTarEntry, TAR_END, TAR_TYPE, type TarEntry, tarPadding } from './tar-header.js';

/** What takes the archive: resolves when it is ready for more. */
export type ExportSink = (bytes: Buffer) => Promise<void>;

/**
 * Writes the archive into a sink. Holes are written as zeros. Directories come last, the deepest first: whoever unpacks
 * can then set their modes and times for good.
 *
 * @throws DK_NOT_FOUND, DK_ABORTED, DK_CORRUPT_..., DK_DIGEST_MISMATCH: the archive is then cut short and has no end
 */
export async function exportTar(store: Store, sink: ExportSink, options: ExportOptions = {}): Promise<ExportReport> {
  const checkpoint = await chosenCheckpoint(store, options.at);
  const links = new Map<bigint, BytePath>();
  const directories: Version[] = [];
  let entries = 0;
  let bytes = 0;
  let writtenBytes = 0;
  const write = async (part: Buffer): Promise<void> => {
    writtenBytes += part.length;
    if (part.length > 0) await sink(part);
  };
  for await (const version of chosenEntries(store, checkpoint, options)) {
    throwIfAborted(options.signal);
    if (version.type === VERSION_TYPE.directory) {
      directories.push(version);
      continue;
    }
    const linked = version.linkId === 0n ? undefined : links.get(version.linkId);
    if (version.linkId !== 0n && linked === undefined) links.set(version.linkId, version.path);
    const entry = tarEntry(version, linked);
    await write(encodeTarEntry(entry));
    entries += 1;
    if (entry.type !== TAR_TYPE.file) continue;
    for await (const piece of contentOf(store, version)) {
      await write(piece);
      bytes += piece.length;
      options.onProgress?.(bytes, checkpoint.treeBytes);
    }
    await write(tarPadding(version.size));
  }
  for (const version of directories.reverse()) await write(encodeTarEntry(tarEntry(version, undefined)));
  await write(TAR_END);
  return { sequence: checkpoint.sequence, entries: entries + directories.length, bytes, writtenBytes, leftOut: [] };
}

function tarEntry(version: Version, linked: BytePath | undefined): TarEntry {
  const { mode, uid, gid, mtimeNs, path } = version;
  const facts = { mode, uid, gid, mtimeNs, name: path, linkName: '', size: 0, xattrs: attributesOf(version) };
  if (linked !== undefined) return { ...facts, type: TAR_TYPE.link, linkName: linked };
  if (version.type === VERSION_TYPE.directory) return { ...facts, type: TAR_TYPE.directory, name: `${path}/` };
  if (version.type === VERSION_TYPE.symlink) {
    return { ...facts, type: TAR_TYPE.symlink, linkName: version.linkText.toString('latin1') };
  }
  return { ...facts, type: TAR_TYPE.file, size: version.size };
}

/** Name and value of each extended attribute. */
function attributesOf({ xattrs, path }: Version): [string, Buffer][] {
  const found: [string, Buffer][] = [];
  const reader = new ByteReader(xattrs, 'DK_CORRUPT_RECORD', 'xattr list');
  try {
    while (reader.left > 0) {
      const name = Buffer.from(reader.bytes(reader.varint(xattrs.length))).toString('latin1');
      found.push([name, Buffer.from(reader.bytes(reader.varint(xattrs.length)))]);
    }
  } catch (error) {
    const shown = pathToText(path);
    throw new DiffKeeperError('DK_CORRUPT_RECORD', `the attributes of ${shown} are damaged`, { path: shown }, error);
  }
  return found;
}
