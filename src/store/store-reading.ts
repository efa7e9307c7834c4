/** The half of a store that only reads, wherever its metadata comes from. */
import { type BytePath, DiffKeeperError } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import type { Checkpoint, Checksum, Digest, Version } from '../format/format.js';
import { BlobStore } from './blob-store.js';
import { Heads } from './heads.js';
import { History } from './history.js';
import { type Mended, NEVER_MENDED } from './mended.js';
import { lostHeadKey } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import type { OpenFacts } from './open-store.js';
import type { Packs } from './packs.js';
import { ReadLeases } from './read-leases.js';
import type { EntriesOptions, OnUnreadable, VersionReader, VersionSummary } from './reading-types.js';
import { StoreIdentity } from './store-identity.js';
import type { BlobInfo, MendedFacts } from './types.js';
import { RecipeReader } from './version-reader.js';

export interface ReadParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly checksum: Checksum;
  readonly meta: MetaReader;
  readonly packs: Packs;
  readonly heads: Heads;
  readonly history: History;
  readonly blobs: BlobStore;
  readonly leases: ReadLeases;
}

const NONE_LOST: ReadonlySet<BytePath> = new Set();

export abstract class StoreReading extends StoreIdentity {
  protected readonly reading: ReadParts;
  protected closed = false;
  /** What the metadata said of itself when it was opened. */
  protected known: Mended = NEVER_MENDED;

  constructor(facts: OpenFacts, meta: MetaReader, packs: Packs) {
    super(facts);
    const { engine, checksum, marker } = facts;
    const leases = new ReadLeases();
    const shared = { engine, algo: marker.hashAlgo, checksum, meta, packs, leases };
    this.reading = { ...shared, heads: new Heads(meta), history: new History(shared), blobs: new BlobStore(shared) };
  }

  abstract get newest(): Checkpoint | null;

  /** Before every look at the metadata. */
  protected abstract readable(): Promise<void>;

  protected assertOpen(): void {
    if (!this.closed) return;
    throw new DiffKeeperError('DK_STORE_CLOSED', `the store ${this.path} is closed`, { path: this.path });
  }

  async heads(paths: readonly BytePath[]): Promise<(Version | undefined)[]> {
    await this.readable();
    return this.reading.heads.get(paths);
  }

  get mended(): MendedFacts {
    return this.known;
  }

  async lostHeads(paths: readonly BytePath[]): Promise<ReadonlySet<BytePath>> {
    if (!this.known.lost) return NONE_LOST;
    await this.readable();
    const values = await this.reading.meta.getMany(paths.map(lostHeadKey));
    return new Set(paths.filter((_, index) => values[index] !== undefined));
  }

  async *entries(options: EntriesOptions = {}): AsyncGenerator<Version[]> {
    await this.readable();
    const { heads, history, leases } = this.reading;
    const under = options.under ?? [''];
    const at = options.at ?? this.newest?.sequence ?? 0;
    if (at === this.newest?.sequence) for (const path of under) yield* heads.under(path);
    else if (this.newest) yield* leases.while(history.entriesAt(at, under, options.onUnreadable));
  }

  async *versions(
    path: BytePath,
    options: { readonly onUnreadable?: OnUnreadable } = {},
  ): AsyncGenerator<VersionSummary> {
    await this.readable();
    const { history, leases } = this.reading;
    yield* leases.while(history.versions(path, options.onUnreadable));
  }

  async changes(sequence: number, options: { readonly onUnreadable?: OnUnreadable } = {}): Promise<Version[]> {
    await this.readable();
    return this.reading.leases.during(() => this.reading.history.changes(sequence, options.onUnreadable));
  }

  async *checkpoints(options: { readonly limit?: number } = {}): AsyncGenerator<Checkpoint> {
    await this.readable();
    yield* this.reading.history.checkpoints(options.limit ?? -1);
  }

  async checkpointAt(at: number | Date): Promise<Checkpoint> {
    await this.readable();
    return this.reading.history.checkpointAt(at);
  }

  async blobInfos(digests: readonly Digest[]): Promise<(BlobInfo | undefined)[]> {
    this.assertOpen();
    return this.reading.blobs.infos(digests);
  }

  async readBlobs(digests: readonly Digest[]): Promise<(Buffer | Error)[]> {
    this.assertOpen();
    return this.reading.blobs.read(digests);
  }

  reader(version: Version): VersionReader {
    this.assertOpen();
    return new RecipeReader(this.reading.blobs, version);
  }
}
