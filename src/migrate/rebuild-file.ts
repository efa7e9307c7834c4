/**
 * Puts the versions of one file together from what an older store holds, oldest first. Nothing is taken on trust: the
 * newest content counts when its SHA-256 is the stored one, or when every digest on the way to it holds and only that
 * one disagrees. What the older program lost is looked for wherever its bytes may still be.
 */
import { sha256 } from './content-id.js';
import type { ContentWriter, StoredContent } from './content-writer.js';
import { type Chunks, openGzip } from './gunzip-value.js';
import { isDamage, isDelta, type LegacyContents } from './legacy-contents.js';
import { type LegacyMetadata, parseManifest, parseMetadata } from './legacy-metadata.js';
import type { LegacyEntry, LegacySource } from './legacy-source.js';
import { rebuildChain, rootHolds } from './rebuild-chain.js';

const METADATA_BYTES_MAX = 64 << 20;
const HASH_BYTES_MAX = 1024;

/** Why an entry is mentioned in the report. */
export type FindingKind =
  /** The newest content is gone; earlier versions may have come over. */
  | 'lost'
  /** It came over, although one of several checks disagrees. */
  | 'doubtful'
  /** It came over, and nothing that is stored says what it should be. */
  | 'unverified'
  /** The older program could not have brought it back; it came over all the same. */
  | 'recovered';

export interface Finding {
  readonly kind: FindingKind;
  readonly reason: string;
}

export interface RebuiltFile {
  /** Oldest first. The last one is the newest content, unless that is lost. */
  readonly versions: readonly StoredContent[];
  readonly newestLost: boolean;
  readonly timeNs: bigint;
  readonly findings: readonly Finding[];
  /** Names of the contents that belonged to it, for the quarantine. */
  readonly contentNames: readonly string[];
}

export interface RebuildParts {
  readonly source: LegacySource;
  readonly contents: LegacyContents;
  readonly writer: ContentWriter;
}

/** What came of one way to the newest content. */
export interface Attempt {
  readonly versions: readonly StoredContent[];
  /** Whether the last one is the newest content, as far as this way can tell by itself. */
  readonly complete: boolean;
  /** Every digest on the way holds, the root over their names included. */
  readonly proven: boolean;
  readonly reason: string;
  readonly recovered?: string;
}

class Rebuild {
  readonly #parts: RebuildParts;
  readonly #entry: LegacyEntry;
  readonly #findings: Finding[] = [];
  #expected: Buffer | null = null;

  constructor(parts: RebuildParts, entry: LegacyEntry) {
    this.#parts = parts;
    this.#entry = entry;
  }

  #find(kind: FindingKind, reason: string): void {
    this.#findings.push({ kind, reason });
  }

  async run(): Promise<RebuiltFile> {
    const { source } = this.#parts;
    this.#expected = await this.#expectedHash();
    const meta = await this.#metadata();
    const earlier: StoredContent[] = [];
    const newest = (await this.#newest(meta, earlier)) ?? (await this.#bySha256());
    const versions = dropRepeats(newest ? [...earlier, newest] : earlier);
    if (newest && this.#findings.every(({ kind }) => kind !== 'recovered') && this.#wasLostBefore(meta)) {
      this.#find('recovered', 'the older program lost its metadata');
    }
    const names = meta ? [meta.baseName, ...meta.names].filter((name) => name !== '') : [];
    const timeNs = meta?.timeNs ?? source.timeNs;
    const findings = newest ? this.#findings.filter(({ kind }) => kind !== 'lost') : this.#findings;
    return { versions, newestLost: !newest, timeNs, findings, contentNames: names };
  }

  #wasLostBefore(meta: LegacyMetadata | null): boolean {
    return this.#parts.source.schema >= 2 && meta === null;
  }

  async #expectedHash(): Promise<Buffer | null> {
    const { hashes } = this.#entry;
    for (const value of hashes) {
      if (value.length > HASH_BYTES_MAX) continue;
      const text = (await value.read(HASH_BYTES_MAX)).toString('latin1');
      if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex');
    }
    const reason = hashes.length === 0 ? 'it has no stored hash' : 'its stored hash is no SHA-256';
    this.#find('unverified', reason);
    return null;
  }

  async #metadata(): Promise<LegacyMetadata | null> {
    for (const value of this.#entry.metas) {
      if (value.length > METADATA_BYTES_MAX) this.#find('lost', `its metadata has ${value.length} bytes`);
      else {
        const meta = parseMetadata(await value.read(METADATA_BYTES_MAX));
        if (typeof meta !== 'string') return meta;
        this.#find('lost', meta);
      }
    }
    return null;
  }

  /** The newest content, or null; what is certain to be earlier goes into `earlier`. */
  async #newest(meta: LegacyMetadata | null, earlier: StoredContent[]): Promise<StoredContent | null> {
    const gzips = await this.#gzips();
    if (meta === null) return this.#acceptGzip(gzips, earlier);
    earlier.push(...gzips, ...(await this.#orphans(meta)));
    const attempt = await this.#fromMetadata(meta, gzips);
    const last = attempt.complete ? attempt.versions.at(-1) : undefined;
    const matches = last !== undefined && this.#matches(last);
    if (last && (matches || attempt.proven)) {
      if (!matches && this.#expected)
        this.#find('doubtful', 'its stored hash is not that of its content, whose digests all hold');
      if (attempt.recovered) this.#find('recovered', attempt.recovered);
      if (matches && meta.names.length > 0 && !rootHolds(meta))
        this.#find('doubtful', 'its Merkle root is wrong; its content has the stored hash');
      earlier.push(...attempt.versions.slice(0, -1));
      return last;
    }
    earlier.push(...(attempt.complete ? attempt.versions.slice(0, 1) : attempt.versions));
    this.#find(
      'lost',
      attempt.reason === '' ? 'its content has neither the stored hash nor the stored Merkle root' : attempt.reason,
    );
    const gzip = gzips.find((content) => this.#matches(content));
    if (!gzip) return null;
    this.#find('recovered', 'its newest content was found among the compressed snapshots');
    return gzip;
  }

  #matches(content: StoredContent): boolean {
    return this.#expected?.equals(content.sha256) === true;
  }

  /** Without metadata the compressed snapshot is the newest content there is; gzip's own checksum stands for it. */
  #acceptGzip(gzips: readonly StoredContent[], earlier: StoredContent[]): StoredContent | null {
    const right = gzips.find((content) => this.#matches(content));
    if (right || gzips.length === 0) return right ?? null;
    // A file that the older program migrated has newer content elsewhere: then this one is an earlier version.
    if (this.#parts.source.schema >= 2 && this.#expected) {
      earlier.push(...gzips);
      this.#find('lost', 'its newest content is missing');
      return null;
    }
    if (this.#expected) this.#find('doubtful', 'its stored hash is not that of its content, whose gzip checksum holds');
    return gzips.at(-1) ?? null;
  }

  async #gzips(): Promise<StoredContent[]> {
    const found: StoredContent[] = [];
    for (const value of this.#entry.gzips) {
      const content = await this.#attempt(async () => this.#store(await openGzip(value)));
      if (content) found.push(content);
    }
    if (this.#entry.gzips.length === 0 && this.#entry.metas.length === 0)
      this.#find('lost', 'it has a hash but no content');
    return found;
  }

  /** Damage of one piece is a finding; what the system refuses ends everything. */
  async #attempt<T>(task: () => Promise<T>): Promise<T | null> {
    try {
      return await task();
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#find('lost', error.message);
      return null;
    }
  }

  #store(content: Buffer | Chunks): Promise<StoredContent> {
    const { writer } = this.#parts;
    return Buffer.isBuffer(content) ? writer.addBytes(content) : writer.addChunks(content);
  }

  /**
   * Whole contents that were stored for this file and that its metadata no longer names: earlier versions, whose order
   * the older program did not keep. Deltas among them cannot be placed.
   */
  async #orphans(meta: LegacyMetadata): Promise<StoredContent[]> {
    const { source, contents } = this.#parts;
    const named = new Set([meta.baseName, ...meta.names]);
    const found: StoredContent[] = [];
    if (meta.isChunked) return found;
    for (const name of await source.contentsOf(this.#entry.name)) {
      if (named.has(name)) continue;
      const bytes = await this.#quietly(() => contents.read(name));
      if (bytes && !isDelta(bytes)) found.push(await this.#store(bytes));
    }
    return found;
  }

  async #quietly<T>(task: () => Promise<T>): Promise<T | null> {
    try {
      return await task();
    } catch (error) {
      if (!isDamage(error)) throw error;
      return null;
    }
  }

  async #fromMetadata(meta: LegacyMetadata, gzips: readonly StoredContent[]): Promise<Attempt> {
    if (meta.isChunked) return this.#fromChunks(meta);
    if (!meta.isSnapshot) return rebuildChain(this.#parts, this.#entry, meta, { expected: this.#expected, gzips });
    const proven = rootHolds(meta);
    const name = meta.names[0] ?? meta.baseName;
    const recovered = meta.names.length === 0 ? { recovered: 'its list of contents was empty' } : {};
    return this.#single(async () => this.#parts.contents.open(name), { proven, ...recovered });
  }

  async #fromChunks(meta: LegacyMetadata): Promise<Attempt> {
    const kept = meta.chunks ? null : await this.#parts.source.manifest(this.#entry.name);
    const list = kept
      ? parseManifest(await kept.read(METADATA_BYTES_MAX))
      : (meta.chunks ?? 'it has no list of chunks');
    if (typeof list === 'string') return { versions: [], complete: false, proven: false, reason: list };
    const listed = list.length === meta.names.length && list.every(({ name }, index) => name === meta.names[index]);
    const content = this.#parts.contents.openChunks(list);
    return this.#single(() => Promise.resolve(content), { proven: listed && rootHolds(meta) });
  }

  async #single(
    open: () => Promise<Buffer | Chunks>,
    facts: { readonly proven: boolean; readonly recovered?: string },
  ): Promise<Attempt> {
    try {
      return { versions: [await this.#store(await open())], complete: true, reason: '', ...facts };
    } catch (error) {
      if (!isDamage(error)) throw error;
      return { versions: [], complete: false, proven: false, reason: error.message };
    }
  }

  /** Last way: the stored hash names the content, and content is stored by its digest. */
  async #bySha256(): Promise<StoredContent | null> {
    const { contents, source } = this.#parts;
    const expected = this.#expected;
    if (!expected) return null;
    const named = await contents.findBySha256(expected);
    const direct = named && (await this.#attempt(() => this.#store(named)));
    if (direct && this.#matches(direct)) {
      this.#find('recovered', 'its newest content was found by its hash');
      return direct;
    }
    for (const name of await source.contentsOf(this.#entry.name)) {
      const bytes = await this.#quietly(() => contents.read(name));
      if (!bytes || !sha256(bytes).equals(expected)) continue;
      this.#find('recovered', 'its newest content was found by its hash');
      return this.#store(bytes);
    }
    return null;
  }
}

/** Versions that follow themselves are one. */
function dropRepeats(versions: readonly StoredContent[]): StoredContent[] {
  return versions.filter((content, index) => versions[index + 1]?.digest.equals(content.digest) !== true);
}

/** @throws DK_IO, DK_DISK_FULL; damage is part of the result */
export async function rebuildFile(parts: RebuildParts, entry: LegacyEntry): Promise<RebuiltFile> {
  try {
    return await new Rebuild(parts, entry).run();
  } catch (error) {
    if (!isDamage(error)) throw error;
    const findings = [{ kind: 'lost', reason: error.message }] as const;
    return { versions: [], newestLost: true, timeNs: parts.source.timeNs, findings, contentNames: [] };
  }
}
