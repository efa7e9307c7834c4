/**
 * One checkpoint of schema 1 in the making. Pieces of files wait in a file of their own until the commit puts each
 * changed file together and compresses it whole. Each file is replaced at once, together with its hash; the files of
 * one checkpoint are not.
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import * as path from 'node:path';
import {
  type BytePath,
  createHash,
  DiffKeeperError,
  gzipWhole,
  inGroups,
  makeDirectory,
  pathToText,
  readFully,
  writeFully,
} from '../core/core.js';
import {
  type Checkpoint,
  type Digest,
  type Extent,
  type Recipe,
  VERSION_TYPE,
  type Version,
} from '../format/format.js';
import type { MetaChange } from './meta.js';
import { checkPutPath } from './put-check.js';
import type { SnapshotFiles } from './snapshot-files.js';
import { fileChanges, fileRemovals, type SnapshotFacts } from './snapshot-tables.js';
import type { BlobInput, CommitFacts, Transaction } from './types.js';

/** A file is one value of the database, which holds it in memory several times over. */
export const SNAPSHOT_BYTES_MAX = 1 << 30;
const PIECE_BYTES = 1 << 20;
const AT_ONCE = 4;
/** Compressed bytes that go to the database in one batch. */
const BATCH_BYTES = 16 << 20;

export interface SnapshotParts {
  readonly files: SnapshotFiles;
  readonly sequence: number;
  /** Where pieces wait. */
  readonly stagingFile: string;
  /** Bytes of content that is stored under this digest; null when there is none. */
  readonly readStored: (digest: Digest, offset: number, length: number) => Promise<Buffer | null>;
  readonly write: (changes: readonly MetaChange[]) => Promise<void>;
  /** Told once; with facts about what was written, or null when nothing is to be committed. */
  readonly ended: (written: WrittenFiles | null) => Promise<Checkpoint | null>;
}

export interface WrittenFiles {
  readonly files: ReadonlyMap<BytePath, SnapshotFacts>;
  readonly storedBytes: number;
  readonly changedBytes: number;
  readonly commit: CommitFacts;
}

export class SnapshotTransaction implements Transaction {
  readonly #parts: SnapshotParts;
  readonly #staged = new Map<string, { readonly offset: number; readonly length: number }>();
  readonly #recipes = new Map<string, readonly Extent[]>();
  readonly #versions = new Map<BytePath, Version>();
  #staging: FileHandle | null = null;
  #stagedBytes = 0;
  #open = true;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
  }

  get changes(): number {
    return this.#versions.size;
  }

  #assertOpen(): void {
    if (!this.#open) throw new DiffKeeperError('DK_ARGUMENT', 'this transaction has ended');
  }

  async storeBlobs(inputs: readonly BlobInput[]): Promise<Digest[]> {
    this.#assertOpen();
    const digests: Digest[] = [];
    for (const { bytes, digest: given } of inputs) {
      const digest = given ?? createHash('sha256').update(bytes).digest();
      digests.push(digest);
      const key = digest.toString('latin1');
      if (this.#staged.has(key)) continue;
      this.#staging ??= await openStaging(this.#parts.stagingFile);
      const offset = this.#stagedBytes;
      this.#stagedBytes += bytes.length;
      this.#staged.set(key, { offset, length: bytes.length });
      await writeFully(this.#staging, bytes, offset);
    }
    return digests;
  }

  hasBlobs(digests: readonly Digest[]): Promise<boolean[]> {
    return Promise.resolve(digests.map((digest) => this.#staged.has(digest.toString('latin1'))));
  }

  storeRecipe(options: {
    readonly extents: readonly Extent[];
    readonly size: number;
    readonly digest: Digest;
  }): Promise<Recipe> {
    this.#assertOpen();
    if (options.size === 0) return Promise.resolve({ kind: 'empty' });
    this.#recipes.set(options.digest.toString('latin1'), options.extents);
    return Promise.resolve({ kind: 'regions', regions: [] });
  }

  /** Takes content of files; all else that a version says, schema 1 cannot hold. @throws DK_UNSAFE_PATH, DK_LIMIT */
  put(version: Version): boolean {
    this.#assertOpen();
    checkPutPath(version.path, version.type);
    if (version.type !== VERSION_TYPE.file || version.digest === null) return false;
    if (version.size > SNAPSHOT_BYTES_MAX) {
      const path = pathToText(version.path);
      const message = `${path} has ${version.size} bytes: schema 1 (--enable-diff=false) keeps files up to ${SNAPSHOT_BYTES_MAX}`;
      throw new DiffKeeperError('DK_LIMIT', message, { path, expected: SNAPSHOT_BYTES_MAX, actual: version.size });
    }
    const known = this.#parts.files.facts.get(version.path);
    const same = known?.digest.equals(version.digest) === true;
    if (same) this.#versions.delete(version.path);
    else this.#versions.set(version.path, version);
    return !same;
  }

  /** Schema 1 has no removals: the file stays as it was last seen, until something else takes its place. @throws DK_UNSAFE_PATH */
  remove(path: BytePath): boolean {
    this.#assertOpen();
    checkPutPath(path, VERSION_TYPE.removed);
    return false;
  }

  async commit(commit: CommitFacts = {}): Promise<Checkpoint | null> {
    this.#assertOpen();
    const nothing = this.#versions.size === 0 && commit.force !== true && (commit.tag ?? '') === '';
    if (nothing) {
      await this.abort();
      return null;
    }
    this.#open = false;
    try {
      const written = await this.#writeFiles(commit);
      return await this.#parts.ended(written);
    } catch (error) {
      await this.#parts.ended(null);
      throw error;
    } finally {
      await this.#discardStaging();
    }
  }

  async #writeFiles(commit: CommitFacts): Promise<WrittenFiles> {
    const files = new Map<BytePath, SnapshotFacts>();
    let storedBytes = 0;
    let changedBytes = 0;
    let batch: MetaChange[] = [];
    let batchBytes = 0;
    const flush = async (): Promise<void> => {
      const changes = batch;
      batch = [];
      batchBytes = 0;
      if (changes.length > 0) await this.#parts.write(changes);
    };
    const versions = [...this.#versions.values()];
    for (let first = 0; first < versions.length; first += AT_ONCE) {
      const group = versions.slice(first, first + AT_ONCE);
      // Long files one by one: side by side their compressed bytes would pile up.
      const atOnce = group.some(({ size }) => size > BATCH_BYTES) ? 1 : AT_ONCE;
      const values = await inGroups(group, atOnce, (version) => this.#compress(version));
      for (const [index, version] of group.entries()) {
        const value = values[index] as Buffer;
        const { size, digest } = version;
        const facts = { digest: digest as Digest, size, stored: value.length, sequence: this.#parts.sequence };
        for (const gone of this.#parts.files.inTheWay(version.path)) batch.push(...fileRemovals(gone));
        batch.push(...fileChanges(version.path, value, facts));
        files.set(version.path, facts);
        storedBytes += value.length;
        changedBytes += size;
        batchBytes += value.length;
      }
      if (batchBytes >= BATCH_BYTES) await flush();
    }
    await flush();
    return { files, storedBytes, changedBytes, commit };
  }

  async #compress(version: Version): Promise<Buffer> {
    const { value, sha256 } = await gzipWhole(this.#content(version));
    if (version.digest?.equals(sha256)) return value;
    const path = pathToText(version.path);
    throw new DiffKeeperError('DK_DIGEST_MISMATCH', `the pieces of ${path} do not make up its content`, { path });
  }

  async *#content(version: Version): AsyncGenerator<Buffer> {
    if (version.size === 0) return;
    const digest = version.digest as Digest;
    const extents = this.#recipes.get(digest.toString('latin1'));
    const whole = [{ digest, offset: 0, length: version.size }];
    for (const extent of extents ?? whole) {
      for (let at = 0; at < extent.length; at += PIECE_BYTES) {
        yield await this.#piece(extent.digest, extent.offset + at, Math.min(PIECE_BYTES, extent.length - at));
      }
    }
  }

  async #piece(digest: Digest | null, offset: number, length: number): Promise<Buffer> {
    if (digest === null) return Buffer.alloc(length);
    const staged = this.#staged.get(digest.toString('latin1'));
    if (staged && this.#staging) {
      const bytes = Buffer.allocUnsafe(length);
      if ((await readFully(this.#staging, bytes, staged.offset + offset)) === length) return bytes;
    }
    const stored = await this.#parts.readStored(digest, offset, length);
    if (stored) return stored;
    throw new DiffKeeperError('DK_CORRUPT_RECIPE', `content ${digest.toString('hex')} is not stored`);
  }

  async abort(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#discardStaging();
    await this.#parts.ended(null);
  }

  async #discardStaging(): Promise<void> {
    await this.#staging?.close().catch(() => {});
    this.#staging = null;
    await rm(this.#parts.stagingFile, { force: true }).catch(() => {});
  }
}

/** The directory is one of caches, which anybody may have removed. */
async function openStaging(file: string): Promise<FileHandle> {
  await makeDirectory(path.dirname(file));
  return open(file, 'w+', 0o600);
}
