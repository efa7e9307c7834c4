/**
 * Schema 1 behind the store's interface: the newest content of each file, compressed whole. What the schema does not
 * hold is not made up: there is one checkpoint, removals and attributes are not kept (`docs/migration.md`).
 */
import { type BytePath, DiffKeeperError, LIMITS, writeFileDurable } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { type Checkpoint, type Digest, VERSION_TYPE, type Version } from '../format/format.js';
import { OPEN_GUARD } from './cache-guard.js';
import { NEVER_MENDED } from './mended.js';
import type { Meta } from './meta.js';
import type { OpenSnapshots } from './open-snapshots.js';
import { nothingPruned, type PrunePolicy } from './prune-policy.js';
import type { VersionReader, VersionSummary } from './reading-types.js';
import { SnapshotContents } from './snapshot-contents.js';
import { directoryVersion, fileVersion, snapshotEntries } from './snapshot-entries.js';
import { SnapshotFiles } from './snapshot-files.js';
import { countSnapshots, readAnyCopy, readWholes, snapshotReader, verifySnapshots } from './snapshot-reading.js';
import {
  CHECKPOINT_NAME,
  decodeNewest,
  encodeNewest,
  loadFacts,
  type SnapshotFacts,
  tableKey,
} from './snapshot-tables.js';
import { SnapshotTransaction, type WrittenFiles } from './snapshot-transaction.js';
import { computeTreeRoot } from './tree-root.js';
import type {
  BlobInfo,
  CondenseReport,
  PruneReport,
  RebuildReport,
  Store,
  StoreStats,
  Transaction,
  VerifyOptions,
  VerifyReport,
} from './types.js';

const WHOLE_MAX = LIMITS.blobBytes;
export class SnapshotStore implements Store {
  readonly hashAlgo: HashAlgo = 'sha256';
  readonly snapshotInterval = 1;
  readonly level = undefined;
  readonly keepsHistory = false;
  readonly needsReopen = false;
  readonly guard = OPEN_GUARD;
  readonly mended = NEVER_MENDED;
  readonly lostHeads = async (): Promise<ReadonlySet<BytePath>> => new Set();
  readonly #open: OpenSnapshots;
  readonly #meta: Meta;
  readonly #contents: SnapshotContents;
  #files = new SnapshotFiles();
  #newest: Checkpoint | null = null;
  #transaction: Transaction | null = null;
  #changed = false;
  #closed = false;

  constructor(open: OpenSnapshots, meta: Meta) {
    this.#open = open;
    this.#meta = meta;
    this.#contents = new SnapshotContents(meta, open.paths.cache);
  }

  get path(): string {
    return this.#open.paths.root;
  }
  get id(): string {
    return this.#open.marker.id;
  }
  get engine(): Engine {
    return this.#open.engine;
  }
  get seed(): Buffer {
    return Buffer.from(this.#open.marker.seed, 'hex');
  }
  get newest(): Checkpoint | null {
    return this.#newest;
  }
  get cachePath(): string {
    return this.#open.paths.cache;
  }
  get quarantinePath(): string {
    return this.#open.paths.quarantine;
  }

  /**
   * Reads what there is. Files of one checkpoint are written one by one: when the process ended in between, what is
   * there is a checkpoint of its own.
   */
  async start(): Promise<void> {
    const { facts, odd } = await loadFacts(this.#meta);
    if (odd > 0) this.#open.logger.warn({ odd }, 'entries of the snapshot store make no sense and are left out');
    this.#files = new SnapshotFiles(facts);
    const value = await this.#meta.get(tableKey('meta', CHECKPOINT_NAME));
    this.#newest = value ? decodeNewest(value) : null;
    const checkpoint = await this.#checkpoint(this.#files, null);
    if (facts.size === 0 || this.#newest?.root.equals(checkpoint.root)) return;
    this.#open.logger.debug({ files: facts.size }, 'a capture was cut short: what it wrote is the newest checkpoint');
    await this.#name(this.#files, checkpoint);
  }

  #assertOpen(): void {
    if (this.#closed)
      throw new DiffKeeperError('DK_STORE_CLOSED', `the store ${this.path} is closed`, { path: this.path });
  }

  async #checkpoint(all: SnapshotFiles, written: WrittenFiles | null): Promise<Checkpoint> {
    const entries = snapshotEntries(all, { under: [''], wholeMax: WHOLE_MAX });
    const root = await computeTreeRoot(this.engine, this.hashAlgo, entries);
    let treeBytes = 0;
    let sequence = this.#newest?.sequence ?? 0;
    for (const facts of all.facts.values()) {
      treeBytes += facts.size;
      sequence = Math.max(sequence, facts.sequence - 1);
    }
    const { storedBytes = 0, changedBytes = 0, files, commit = {} } = written ?? {};
    const { frozen = false, pauseMs = 0, tag = '' } = commit;
    const counts = {
      entries: all.entries,
      changed: files?.size ?? 0,
      removed: 0,
      treeBytes,
      storedBytes,
      changedBytes,
    };
    return { sequence: sequence + 1, timeMs: this.#open.clock.nowMs(), root, ...counts, frozen, pauseMs, tag };
  }

  async #name(files: SnapshotFiles, checkpoint: Checkpoint): Promise<void> {
    try {
      await this.#meta.write([{ key: tableKey('meta', CHECKPOINT_NAME), value: encodeNewest(checkpoint) }], true);
      this.#newest = checkpoint;
    } finally {
      // Named or not, these are the contents in the database.
      this.#files = files;
    }
  }

  begin(): Transaction {
    this.#assertOpen();
    if (this.#transaction) throw new DiffKeeperError('DK_ARGUMENT', 'another transaction is open on this store');
    this.#transaction = new SnapshotTransaction({
      files: this.#files,
      sequence: (this.#newest?.sequence ?? 0) + 1,
      stagingFile: this.#open.paths.staging,
      readStored: (digest, offset, length) => this.#readStored(digest, offset, length),
      write: async (changes) => {
        await this.#noteChange();
        await this.#meta.write(changes, true);
      },
      ended: (written) => this.#ended(written),
    });
    return this.#transaction;
  }

  /** Says, before the first write, that what was migrated from here is not all of it any more. */
  async #noteChange(): Promise<void> {
    if (this.#changed) return;
    await writeFileDurable(this.#open.paths.changed, Buffer.from('written after it was migrated\n'));
    this.#changed = true;
  }

  async #ended(written: WrittenFiles | null): Promise<Checkpoint | null> {
    this.#transaction = null;
    if (written === null) return null;
    // Readers see the files and the checkpoint that names them in one moment.
    const files = new SnapshotFiles(this.#files.facts);
    for (const [path, facts] of written.files) files.set(path, facts);
    await this.#name(files, await this.#checkpoint(files, written));
    return this.#newest;
  }

  #readStored(digest: Digest, offset: number, length: number): Promise<Buffer | null> {
    return readAnyCopy(this.#files.withContent(digest), this.#contents, { offset, length });
  }

  async heads(paths: readonly BytePath[]): Promise<(Version | undefined)[]> {
    this.#assertOpen();
    return paths.map((path) => {
      const facts = this.#files.facts.get(path);
      if (facts) return fileVersion(path, facts, WHOLE_MAX);
      return this.#files.isDirectory(path) ? directoryVersion(path) : undefined;
    });
  }

  async *entries(
    options: { readonly at?: number; readonly under?: readonly BytePath[] } = {},
  ): AsyncGenerator<Version[]> {
    this.#assertOpen();
    const { at = this.#newest?.sequence, under = [''] } = options;
    if (this.#newest && at !== this.#newest.sequence) throw this.#noHistory(at);
    if (this.#newest) yield* snapshotEntries(this.#files, { under, wholeMax: WHOLE_MAX });
  }

  #noHistory(at: unknown): DiffKeeperError {
    const what = `schema 1 keeps the newest checkpoint alone (${this.#newest?.sequence ?? 'none yet'}), not ${String(at)}`;
    return new DiffKeeperError('DK_NOT_FOUND', what);
  }

  async *versions(path: BytePath): AsyncGenerator<VersionSummary> {
    const [version] = await this.heads([path]);
    if (version && this.#newest) yield { sequence: version.sequence, timeMs: this.#newest.timeMs, version };
  }

  async changes(sequence: number): Promise<Version[]> {
    const found: Version[] = [];
    for await (const batch of this.entries()) {
      for (const version of batch)
        if (version.type === VERSION_TYPE.file && version.sequence === sequence) found.push(version);
    }
    return found;
  }

  async *checkpoints(): AsyncGenerator<Checkpoint> {
    this.#assertOpen();
    if (this.#newest) yield this.#newest;
  }

  async checkpointAt(at: number | Date): Promise<Checkpoint> {
    this.#assertOpen();
    const fits =
      this.#newest && (typeof at === 'number' ? at === this.#newest.sequence : at.getTime() >= this.#newest.timeMs);
    if (!this.#newest || !fits) throw this.#noHistory(typeof at === 'number' ? at : at.toISOString());
    return this.#newest;
  }

  async blobInfos(digests: readonly Digest[]): Promise<(BlobInfo | undefined)[]> {
    this.#assertOpen();
    return digests.map((digest) => {
      const [found] = this.#files.withContent(digest);
      if (!found || found.facts.size > WHOLE_MAX) return undefined;
      return { digest, pack: 0, offset: 0, recordBytes: found.facts.stored, decodedBytes: found.facts.size, depth: 0 };
    });
  }

  async readBlobs(digests: readonly Digest[]): Promise<(Buffer | Error)[]> {
    this.#assertOpen();
    return readWholes(digests, async (digest) => {
      const [found] = this.#files.withContent(digest);
      return found ? this.#readStored(digest, 0, found.facts.size) : null;
    });
  }

  reader(version: Version): VersionReader {
    this.#assertOpen();
    return snapshotReader(version, (digest, offset, length) => this.#readStored(digest, offset, length));
  }

  async reopen(): Promise<void> {
    this.#assertOpen();
    await this.#meta.reopen();
    await this.start();
  }

  async stats(): Promise<StoreStats> {
    this.#assertOpen();
    const { path, id, hashAlgo } = this;
    const sizes = { checkpoints: this.#newest ? 1 : 0, packBytes: 0, metaBytes: await this.#open.measure() };
    return { path, id, hashAlgo, ...sizes, ...countSnapshots(this.#files) };
  }
  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    this.#assertOpen();
    return verifySnapshots({ path: this.path, files: this.#files, contents: this.#contents }, options);
  }
  /** Nothing can be rebuilt. Reads the values again. */
  async rebuildIndex(): Promise<RebuildReport> {
    await this.reopen();
    return { checkpoints: this.#newest ? 1 : 0, records: this.#files.facts.size, damage: [] };
  }
  async retag(): Promise<Checkpoint> {
    throw new DiffKeeperError('DK_UNSUPPORTED', 'schema 1 keeps one checkpoint, and no tags of others');
  }
  async condense(): Promise<CondenseReport> {
    throw new DiffKeeperError('DK_UNSUPPORTED', 'schema 1 has no packs');
  }
  async prune(policy: PrunePolicy): Promise<PruneReport> {
    return nothingPruned(this.#newest, policy);
  }
  async quiet(): Promise<void> {}
  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#transaction?.abort();
    this.#closed = true;
    await this.#contents.close();
    await this.#meta.close();
  }

  /** For a migration: the gzip value of a file. @throws DK_CORRUPT_RECORD when it is damaged or missing */
  value(path: BytePath): Promise<Buffer> {
    this.#assertOpen();
    return this.#contents.value(path);
  }

  /** For a migration: files with what is known of them, in the order of their paths' bytes. */
  files(): readonly (readonly [BytePath, SnapshotFacts])[] {
    this.#assertOpen();
    return [...this.#files.facts].sort(([one], [other]) => (one < other ? -1 : 1));
  }
}
