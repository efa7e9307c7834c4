/** Past versions and checkpoints, read through the metadata from the packs. */
import { type BytePath, DiffKeeperError, isDiffKeeperError } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { type Checkpoint, decodeVersionsRecord, hasSafePath, VERSION_TYPE, type Version } from '../format/format.js';
import type { RecordPlace } from './blob-index.js';
import { Heads } from './heads.js';
import {
  decodeStoredCheckpoint,
  decodeVersionPlace,
  misplacedVersion,
  type StoredCheckpoint,
} from './index-changes.js';
import {
  checkpointKey,
  KEY_LETTER,
  ownVersionRange,
  prefixRange,
  versionKeyFacts,
  versionRangesUnder,
} from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import type { Packs } from './packs.js';
import type { OnUnreadable, VersionSummary } from './reading-types.js';
import { decodeMetaRecord } from './replay.js';
import { pointersAt, type VersionPointer } from './version-pointers.js';

const RECORDS_KEPT = 64;
const BATCH = 1000;

export interface HistoryParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly meta: MetaReader;
  readonly packs: Packs;
}

/** Who reads, and what was found wrong with records meanwhile: one that has thousands of versions is tried once. */
interface Reading {
  readonly onUnreadable: OnUnreadable | undefined;
  readonly failed: Map<string, DiffKeeperError>;
}

/** Damage of one record, or bytes that the disk does not give: no reason to hold back what other records say. */
function isUnreadable(error: unknown): error is DiffKeeperError {
  return isDiffKeeperError(error) && (error.code.startsWith('DK_CORRUPT') || error.code === 'DK_IO');
}

export class History {
  readonly #parts: HistoryParts;
  readonly #heads: Heads;
  readonly #records = new Map<string, readonly Version[]>();

  constructor(parts: HistoryParts) {
    this.#parts = parts;
    this.#heads = new Heads(parts.meta);
  }

  clearCache(): void {
    this.#records.clear();
  }

  async *checkpoints(limit: number): AsyncGenerator<Checkpoint> {
    const range = prefixRange(Buffer.from([KEY_LETTER.checkpoint]));
    for await (const entries of this.#parts.meta.range(range, { reverse: true, limit })) {
      for (const [, value] of entries) yield decodeStoredCheckpoint(value).checkpoint;
    }
  }

  async stored(sequence: number): Promise<StoredCheckpoint> {
    const value = await this.#parts.meta.get(checkpointKey(sequence));
    if (!value) {
      throw new DiffKeeperError('DK_NOT_FOUND', `there is no checkpoint ${sequence}`, { actual: sequence });
    }
    return decodeStoredCheckpoint(value);
  }

  async checkpointAt(at: number | Date): Promise<Checkpoint> {
    if (typeof at === 'number') return (await this.stored(at)).checkpoint;
    for await (const checkpoint of this.checkpoints(-1)) if (checkpoint.timeMs <= at.getTime()) return checkpoint;
    throw new DiffKeeperError('DK_NOT_FOUND', `there is no checkpoint at or before ${at.toISOString()}`);
  }

  async changes(sequence: number, onUnreadable?: OnUnreadable): Promise<Version[]> {
    const { partPlaces } = await this.stored(sequence);
    const versions: Version[] = [];
    const failed = new Map<string, DiffKeeperError>();
    for (const place of partPlaces) {
      try {
        const found = await this.#record(place);
        if (found.some((version) => version.sequence !== sequence)) misplacedVersion();
        versions.push(...found.filter(hasSafePath));
      } catch (error) {
        if (!onUnreadable || !isUnreadable(error)) throw error;
        failed.set(keyOf(place), error);
      }
    }
    if (failed.size > 0) versions.push(...(await this.#namedIn(sequence, { onUnreadable, failed })));
    return versions;
  }

  /** Versions of a checkpoint that stood in failed records: keys tell whose they were, and heads may be copies of them. */
  async #namedIn(sequence: number, reading: Reading): Promise<Version[]> {
    const versions: Version[] = [];
    for await (const entries of this.#parts.meta.range(prefixRange(Buffer.from([KEY_LETTER.version])))) {
      for (const [key, value] of entries) {
        const facts = versionKeyFacts(key);
        if (facts.sequence !== sequence) continue;
        const { place, index } = decodeVersionPlace(value);
        const version = reading.failed.has(keyOf(place))
          ? await this.#readable({ ...facts, place, index }, reading)
          : null;
        if (version) versions.push(version);
      }
    }
    return versions;
  }

  async *versions(path: BytePath, onUnreadable?: OnUnreadable): AsyncGenerator<VersionSummary> {
    const reading = { onUnreadable, failed: new Map() };
    for await (const entries of this.#parts.meta.range(ownVersionRange(path), { reverse: true })) {
      for (const [key, value] of entries) {
        const { sequence } = versionKeyFacts(key);
        const { place, index } = decodeVersionPlace(value);
        const version = await this.#readable({ path, sequence, place, index }, reading);
        if (version) yield { sequence, timeMs: await this.#timeOf(sequence), version };
      }
    }
  }

  /** A checkpoint whose own record is damaged is at least not younger than the next one. */
  async #timeOf(sequence: number): Promise<number> {
    const range = { gte: checkpointKey(sequence), lt: checkpointKey(Number.MAX_SAFE_INTEGER) };
    for await (const entries of this.#parts.meta.range(range, { limit: 1 })) {
      for (const [, value] of entries) return decodeStoredCheckpoint(value).checkpoint.timeMs;
    }
    throw new DiffKeeperError('DK_NOT_FOUND', `there is no checkpoint ${sequence}`, { actual: sequence });
  }

  /** Live entries as of a past checkpoint. */
  async *entriesAt(
    sequence: number,
    under: readonly BytePath[],
    onUnreadable?: OnUnreadable,
  ): AsyncGenerator<Version[]> {
    const reading = { onUnreadable, failed: new Map() };
    for (const path of under) {
      for (const range of versionRangesUnder(path)) {
        let pointers: VersionPointer[] = [];
        for await (const found of pointersAt(this.#parts.meta, range, sequence)) {
          pointers.push(...found);
          if (pointers.length < BATCH) continue;
          yield await this.#live(pointers, reading);
          pointers = [];
        }
        if (pointers.length > 0) yield await this.#live(pointers, reading);
      }
    }
  }

  async #live(pointers: readonly VersionPointer[], reading: Reading): Promise<Version[]> {
    const versions: Version[] = [];
    const copies = await this.#copiesOf(pointers);
    for (const pointer of pointers) {
      const version = copies.get(pointer.path) ?? (await this.#readable(pointer, reading));
      if (version && version.type !== VERSION_TYPE.removed) versions.push(version);
    }
    return versions;
  }

  /**
   * Of versions whose records stand in dense packs, those that are the newest of their paths: the metadata has copies of
   * these, and to read one record all of its group is decompressed.
   */
  async #copiesOf(pointers: readonly VersionPointer[]): Promise<Map<BytePath, Version>> {
    const copies = new Map<BytePath, Version>();
    const dense = new Map<number, boolean>();
    for (const { place } of pointers) {
      // What is wrong with a pack is told when a record of it is read.
      if (!dense.has(place.pack)) {
        dense.set(place.pack, await this.#parts.packs.isOpenDense(place.pack).catch(() => false));
      }
    }
    const asked = pointers.filter(({ place }) => dense.get(place.pack));
    const heads = await this.#heads.get(asked.map(({ path }) => path)).catch((error: unknown) => {
      // The records say what the copies do not.
      if (isDiffKeeperError(error) && error.code.startsWith('DK_CORRUPT')) return [];
      throw error;
    });
    for (const [index, { path, sequence }] of asked.entries()) {
      const head = heads[index];
      if (head?.sequence === sequence) copies.set(path, head);
    }
    return copies;
  }

  /** Null when it cannot be read and somebody was told so. */
  async #readable(pointer: VersionPointer, { onUnreadable, failed }: Reading): Promise<Version | null> {
    const { path, sequence, place } = pointer;
    const key = keyOf(place);
    const before = failed.get(key);
    try {
      if (before) throw before;
      return await this.#version(pointer);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      // That the index is wrong says nothing about the record.
      if (error.code !== 'DK_CORRUPT_INDEX') {
        failed.set(key, error);
        const head = await this.#headAt(pointer);
        if (head) return head;
      }
      if (!onUnreadable) throw error;
      onUnreadable({ path, sequence, error });
      return null;
    }
  }

  /** The version itself, when it is the newest of its path: then the metadata has a copy of it. */
  async #headAt({ path, sequence }: VersionPointer): Promise<Version | null> {
    const [head] = await this.#heads.get([path]);
    return head?.sequence === sequence ? head : null;
  }

  async #version({ path, sequence, place, index }: VersionPointer): Promise<Version> {
    const version = (await this.#record(place))[index];
    // A place that is older than its pack may be that of another record, of as many bytes and of the same path.
    if (version?.path !== path || version.sequence !== sequence) misplacedVersion();
    return version;
  }

  async #record(place: RecordPlace): Promise<readonly Version[]> {
    const key = keyOf(place);
    const known = this.#records.get(key);
    if (known) return known;
    const { engine, algo, packs } = this.#parts;
    const bytes = await packs.read(place.pack, place.offset, place.recordBytes);
    const record = packs.records.decode(bytes, place.offset);
    const { versions } = decodeVersionsRecord(await decodeMetaRecord(engine, algo, record));
    this.#records.set(key, versions);
    if (this.#records.size > RECORDS_KEPT) this.#records.delete(this.#records.keys().next().value as string);
    return versions;
  }
}

function keyOf({ pack, offset }: RecordPlace): string {
  return `${pack}:${offset}`;
}
