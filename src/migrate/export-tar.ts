/** A checkpoint as a tar archive, streamed: content, modes, owners, times, links, extended attributes. */
import { type BytePath, pathToText, throwIfAborted } from '../core/core.js';
import { ByteReader, hardLinkKey, VERSION_TYPE, type Version, withoutLentIdentity } from '../format/format.js';
import type { Store } from '../store/store.js';
import { chosenCheckpoint, chosenEntries, damageOf, type LeftOut, wholeContentOf } from './checkpoint-content.js';
import type { ExportOptions, ExportReport } from './export-bolt.js';
import { encodeTarEntry, TAR_END, TAR_TYPE, type TarEntry, tarPadding } from './tar-header.js';

/** What takes the archive: resolves when it is ready for more. */
export type ExportSink = (bytes: Buffer) => Promise<void>;

/**
 * Writes the archive into a sink. Holes are written as zeros. Directories come last, the deepest first: whoever unpacks
 * can then set their modes and times for good. Files that cannot be read back are left out and named; those of more
 * than 16 MiB are read twice for that.
 *
 * @throws DK_NOT_FOUND, DK_ABORTED, DK_CORRUPT_INDEX, and for a large file that was whole a moment ago DK_CORRUPT_...: the
 * archive is then cut short and has no end
 */
export async function exportTar(store: Store, sink: ExportSink, options: ExportOptions = {}): Promise<ExportReport> {
  const checkpoint = await chosenCheckpoint(store, options.at);
  const links = new TarLinks();
  const directories: TarEntry[] = [];
  const leftOut: LeftOut[] = [];
  let identityDropped = 0;
  let entries = 0;
  let bytes = 0;
  let writtenBytes = 0;
  const write = async (part: Buffer): Promise<void> => {
    writtenBytes += part.length;
    if (part.length > 0) await sink(part);
  };
  for await (const stored of chosenEntries(store, checkpoint, options, leftOut)) {
    throwIfAborted(options.signal);
    const version = options.setuid ? stored : withoutLentIdentity(stored);
    const entry = tarEntry(version, links);
    if (entry === null) {
      leftOut.push({ path: pathToText(version.path), reason: 'its extended attributes are damaged' });
      continue;
    }
    if (entry.type === TAR_TYPE.directory) {
      if (version !== stored) identityDropped += 1;
      directories.push(entry);
      continue;
    }
    const content = entry.type === TAR_TYPE.file ? await wholeOrReason(store, version, options.signal) : [];
    if (typeof content === 'string') {
      links.forget(version);
      leftOut.push({ path: pathToText(version.path), reason: content });
      continue;
    }
    if (version !== stored) identityDropped += 1;
    await write(encodeTarEntry(entry));
    entries += 1;
    for await (const piece of content) {
      await write(piece);
      bytes += piece.length;
      options.onProgress?.(bytes, checkpoint.treeBytes);
    }
    if (entry.type === TAR_TYPE.file) await write(tarPadding(version.size));
  }
  entries += directories.length;
  for (const entry of directories.reverse()) await write(encodeTarEntry(entry));
  await write(TAR_END);
  return { sequence: checkpoint.sequence, entries, bytes, writtenBytes, identityDropped, leftOut };
}

/** The content of a file; why it cannot be had as a text. */
async function wholeOrReason(
  store: Store,
  version: Version,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<Buffer> | readonly Buffer[] | string> {
  try {
    return await wholeContentOf(store, version, signal);
  } catch (error) {
    return damageOf(error);
  }
}

/** Which entry of the archive has a file's content already. */
class TarLinks {
  readonly #first = new Map<string, BytePath>();

  /** Name to link to; undefined for the first name of a file, which later ones will get. */
  firstOf(version: Version): BytePath | undefined {
    const key = hardLinkKey(version);
    if (key === null) return undefined;
    const first = this.#first.get(key);
    if (first === undefined) this.#first.set(key, version.path);
    return first;
  }

  /** The name of this file is in no archive: another one of it has to carry the content. */
  forget(version: Version): void {
    const key = hardLinkKey(version);
    if (key !== null) this.#first.delete(key);
  }
}

/** Null when the attributes are no list. */
function tarEntry(version: Version, links: TarLinks): TarEntry | null {
  const { mode, uid, gid, mtimeNs, path } = version;
  const xattrs = attributesOf(version);
  if (xattrs === null) return null;
  const linked = links.firstOf(version);
  const facts = { mode, uid, gid, mtimeNs, name: path, linkName: '', size: 0, xattrs };
  if (linked !== undefined) return { ...facts, type: TAR_TYPE.link, linkName: linked };
  if (version.type === VERSION_TYPE.directory) return { ...facts, type: TAR_TYPE.directory, name: `${path}/` };
  if (version.type === VERSION_TYPE.symlink) {
    return { ...facts, type: TAR_TYPE.symlink, linkName: version.linkText.toString('latin1') };
  }
  return { ...facts, type: TAR_TYPE.file, size: version.size };
}

/** Name and value of each extended attribute; null when the list is damaged, or has a name that none can have. */
function attributesOf({ xattrs }: Version): [string, Buffer][] | null {
  const found: [string, Buffer][] = [];
  const reader = new ByteReader(xattrs, 'DK_CORRUPT_RECORD', 'xattr list');
  try {
    while (reader.left > 0) {
      const name = Buffer.from(reader.bytes(reader.varint(xattrs.length))).toString('latin1');
      if (name === '' || name.includes('\0')) return null;
      found.push([name, Buffer.from(reader.bytes(reader.varint(xattrs.length)))]);
    }
  } catch {
    return null;
  }
  return found;
}
