/** One file of one checkpoint as a stream, without touching any state directory. */
import { Readable } from 'node:stream';
import { DiffKeeperError, isSafePath, LIMITS, pathFromText, pathToText } from '../core/core.js';
import { startDigest } from '../engine/load.js';
import { type Digest, VERSION_TYPE, type Version } from '../format/format.js';
import type { Store } from '../store/store.js';
import { digestMismatch } from './place-small.js';
import { entryAt, findCheckpoint } from './select-entries.js';

/** A whole window of the file: neighbouring steps then need no blob of each other's. */
const STEP_BYTES = LIMITS.windowBytes;
/** What is handed on at once. */
const CHUNK_BYTES = 1 << 20;

export interface ReadFileOptions {
  /** Checkpoint sequence number or moment; default the newest. */
  readonly at?: number | Date;
}

/**
 * Streams a file's content; of a symbolic link its text. `path` is UTF-8 text
 * relative to the state directory. Reads no faster than the consumer takes it.
 * Every blob is verified before its bytes are handed on, the digest of the whole
 * at the end: only a stream that ends without an error was right.
 *
 * The stream fails with DK_NOT_FOUND (no such checkpoint or path),
 * DK_UNSUPPORTED (a directory), DK_CORRUPT_PACK, DK_CORRUPT_RECIPE or
 * DK_DIGEST_MISMATCH. Throws TypeError for a path that leads out of the directory.
 */
export function readFileAt(store: Store, path: string, options: ReadFileOptions = {}): Readable {
  if (typeof path !== 'string') throw new TypeError(`path: expected a string, got ${typeof path}`);
  const bytes = pathFromText(path.replace(/^(\.\/+)+/, ''));
  if (!isSafePath(bytes))
    throw new TypeError(`path: expected a path below the state directory, got ${JSON.stringify(path)}`);
  const content = streamContent(store, path, async () => {
    const checkpoint = await findCheckpoint(store, options.at);
    return entryAt(store, checkpoint, bytes);
  });
  return streamOf(content);
}

/** As `readFileAt`, for a version that was found already. */
export function readVersion(store: Store, version: Version): Readable {
  return streamOf(streamContent(store, pathToText(version.path), async () => version));
}

function streamOf(content: AsyncGenerator<Buffer>): Readable {
  return Readable.from(content, {
    objectMode: false,
    highWaterMark: CHUNK_BYTES,
  });
}

async function* streamContent(
  store: Store,
  path: string,
  find: () => Promise<Version | undefined>,
): AsyncGenerator<Buffer> {
  const version = await find();
  if (version === undefined || version.type === VERSION_TYPE.removed) {
    throw new DiffKeeperError('DK_NOT_FOUND', `the checkpoint has no file ${path}`, { path });
  }
  if (version.type === VERSION_TYPE.directory) {
    throw new DiffKeeperError('DK_UNSUPPORTED', `${path} is a directory`, {
      path,
    });
  }
  const digest = await startDigest(store.hashAlgo);
  if (version.type === VERSION_TYPE.symlink) {
    digest.update(version.linkText);
    yield version.linkText;
  } else {
    const reader = store.reader(version);
    for (let offset = 0; offset < version.size; offset += STEP_BYTES) {
      const bytes = await reader.read(offset, Math.min(STEP_BYTES, version.size - offset));
      digest.update(bytes);
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
    }
  }
  if (!digest.digest().equals(version.digest as Digest)) throw digestMismatch(version.path);
}
