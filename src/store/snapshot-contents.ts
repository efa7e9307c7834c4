/** Content of schema 1's snapshots, verified: short ones in memory, long ones unpacked into a file for as long as they are read. */
import { type FileHandle, open, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import {
  type BytePath,
  createHash,
  DiffKeeperError,
  fromSystemError,
  isDiffKeeperError,
  LIMITS,
  makeDirectory,
  pathToText,
  readFully,
  writeFully,
  zlib,
} from '../core/core.js';
import type { Meta } from './meta.js';
import { type SnapshotFacts, tableKey } from './snapshot-tables.js';

const SHORT_BYTES = LIMITS.blobBytes;
const SHORT_KEPT = 16;
const LONG_KEPT = 4;

function unzip(bytes: Buffer, options: { maxOutputLength: number }): Promise<Buffer> {
  return promisify<Buffer, typeof options, Buffer>(zlib().gunzip)(bytes, options);
}

interface Unpacked {
  readonly file: string;
  readonly handle: FileHandle;
}

export class SnapshotContents {
  readonly #meta: Meta;
  readonly #directory: string;
  readonly #short = new Map<string, Buffer>();
  readonly #long = new Map<string, Promise<Unpacked>>();

  /** @param directory for unpacked files */
  constructor(meta: Meta, directory: string) {
    this.#meta = meta;
    this.#directory = directory;
  }

  /** The gzip value. @throws DK_CORRUPT_RECORD when it is damaged or not there */
  async value(file: BytePath): Promise<Buffer> {
    const value = await this.#meta.get(tableKey('deltas', file)).catch((error: unknown) => {
      // Damage of one content: there is no index to be rebuilt from anything.
      throw isDiffKeeperError(error, 'DK_CORRUPT_INDEX') ? damaged(file, error.message) : error;
    });
    if (value) return value;
    throw damaged(file, 'it is missing');
  }

  /** Reads what is stored, whatever was read before. @throws as `read` */
  async check(file: BytePath, facts: SnapshotFacts): Promise<void> {
    await unpack(await this.value(file), { file, facts, take: () => Promise.resolve() });
  }

  /** @throws DK_CORRUPT_RECORD, DK_IO */
  async read(
    file: BytePath,
    facts: SnapshotFacts,
    range: { readonly offset: number; readonly length: number },
  ): Promise<Buffer> {
    const { offset, length } = range;
    if (offset < 0 || length < 0 || offset + length > facts.size) {
      throw new RangeError(`bytes ${offset} to ${offset + length} of a file of ${facts.size}`);
    }
    if (facts.size <= SHORT_BYTES) return (await this.#whole(file, facts)).subarray(offset, offset + length);
    const { handle } = await this.#unpacked(file, facts);
    const bytes = Buffer.allocUnsafe(length);
    if ((await readFully(handle, bytes, offset)) < length) throw damaged(file, 'it ends too early');
    return bytes;
  }

  async #whole(file: BytePath, facts: SnapshotFacts): Promise<Buffer> {
    const key = facts.digest.toString('latin1');
    const known = this.#short.get(key);
    if (known) return known;
    const value = await this.value(file);
    const bytes = await unzip(value, { maxOutputLength: Math.max(1, facts.size) }).catch((error: unknown) => {
      throw damaged(file, String(error));
    });
    if (!createHash('sha256').update(bytes).digest().equals(facts.digest))
      throw damaged(file, 'its SHA-256 is another');
    const oldest = this.#short.keys().next().value;
    if (this.#short.size >= SHORT_KEPT && oldest !== undefined) this.#short.delete(oldest);
    this.#short.set(key, bytes);
    return bytes;
  }

  #unpacked(file: BytePath, facts: SnapshotFacts): Promise<Unpacked> {
    const key = facts.digest.toString('hex');
    const known = this.#long.get(key);
    if (known !== undefined) return known;
    const made = this.#unpack(file, facts);
    this.#long.set(key, made);
    made.catch(() => this.#long.delete(key));
    return made;
  }

  async #unpack(file: BytePath, facts: SnapshotFacts): Promise<Unpacked> {
    const unpacked = path.join(this.#directory, `plain-${facts.digest.toString('hex')}-${process.pid}`);
    const value = await this.value(file);
    // A directory of caches, which anybody may have removed.
    await makeDirectory(this.#directory);
    const handle = await open(unpacked, 'w+', 0o600).catch((error: unknown) => {
      throw fromSystemError(error, 'unpack a snapshot to', unpacked);
    });
    try {
      await unpack(value, { file, facts, take: (chunk) => writeFully(handle, chunk) });
      await this.#closeOldest();
      return { file: unpacked, handle };
    } catch (error) {
      await handle.close();
      await rm(unpacked, { force: true });
      throw error;
    }
  }

  async #closeOldest(): Promise<void> {
    while (this.#long.size > LONG_KEPT) {
      const [key, oldest] = this.#long.entries().next().value as [string, Promise<Unpacked>];
      this.#long.delete(key);
      await discard(oldest);
    }
  }

  async close(): Promise<void> {
    const all = [...this.#long.values()];
    this.#long.clear();
    for (const unpacked of all) await discard(unpacked);
  }
}

async function discard(unpacked: Promise<Unpacked>): Promise<void> {
  const found = await unpacked.catch(() => null);
  await found?.handle.close();
  if (found) await rm(found.file, { force: true });
}

/** Unpacks piece by piece; more or other bytes than promised are damage. */
async function unpack(
  value: Buffer,
  options: {
    readonly file: BytePath;
    readonly facts: SnapshotFacts;
    readonly take: (chunk: Buffer) => Promise<void>;
  },
): Promise<void> {
  const { file, facts, take } = options;
  const hash = createHash('sha256');
  let bytes = 0;
  const decoder = Readable.from([value], { objectMode: false }).pipe(zlib().createGunzip({ chunkSize: 256 << 10 }));
  try {
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > facts.size) throw damaged(file, `it has more than ${facts.size} bytes`);
      hash.update(chunk);
      await take(chunk);
    }
  } catch (error) {
    const { code } = error as { code?: unknown };
    throw typeof code === 'string' && code.startsWith('Z_') ? damaged(file, String(error)) : error;
  } finally {
    decoder.destroy();
  }
  if (bytes !== facts.size || !hash.digest().equals(facts.digest)) throw damaged(file, 'its SHA-256 is another');
}

function damaged(file: BytePath, reason: string): DiffKeeperError {
  const shown = pathToText(file);
  return new DiffKeeperError('DK_CORRUPT_RECORD', `the snapshot of ${shown} is damaged: ${reason}`, { path: shown });
}
