/** Past versions and checkpoints, read through the metadata from the packs. */
import { type BytePath, DiffKeeperError } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { type Checkpoint, decodeVersionsRecord, hasSafePath, VERSION_TYPE, type Version } from '../format/format.js';
import type { RecordPlace } from './blob-index.js';
import { decodeStoredCheckpoint, decodeVersionPlace, type StoredCheckpoint } from './index-changes.js';
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
import { decodeMetaRecord } from './replay.js';
import type { VersionSummary } from './types.js';

const RECORDS_KEPT = 64;
const BATCH = 1000;

interface Pointer {
  readonly path: BytePath;
  readonly place: RecordPlace;
  readonly index: number;
}

export interface HistoryParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly meta: MetaReader;
  readonly packs: Packs;
}

export class History {
  readonly #parts: HistoryParts;
  readonly #records = new Map<string, readonly Version[]>();

  constructor(parts: HistoryParts) {
    this.#parts = parts;
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

  async changes(sequence: number): Promise<Version[]> {
    const { partPlaces } = await this.stored(sequence);
    const versions: Version[] = [];
    for (const place of partPlaces) versions.push(...(await this.#record(place)).filter(hasSafePath));
    return versions;
  }

  async *versions(path: BytePath): AsyncGenerator<VersionSummary> {
    for await (const entries of this.#parts.meta.range(ownVersionRange(path), { reverse: true })) {
      for (const [key, value] of entries) {
        const { sequence } = versionKeyFacts(key);
        const { place, index } = decodeVersionPlace(value);
        const version = await this.#version({ path, place, index });
        yield { sequence, timeMs: await this.#timeOf(sequence), version };
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
  async *entriesAt(sequence: number, under: readonly BytePath[]): AsyncGenerator<Version[]> {
    for (const path of under) {
      for (const range of versionRangesUnder(path)) {
        let pointers: Pointer[] = [];
        let candidate: Pointer | null = null;
        for await (const entries of this.#parts.meta.range(range)) {
          for (const [key, value] of entries) {
            const facts = versionKeyFacts(key);
            if (candidate && candidate.path !== facts.path) {
              pointers.push(candidate);
              candidate = null;
            }
            if (facts.sequence <= sequence) candidate = { path: facts.path, ...decodeVersionPlace(value) };
          }
          if (pointers.length >= BATCH) {
            yield await this.#live(pointers);
            pointers = [];
          }
        }
        if (candidate) pointers.push(candidate);
        if (pointers.length > 0) yield await this.#live(pointers);
      }
    }
  }

  async #live(pointers: readonly Pointer[]): Promise<Version[]> {
    const versions: Version[] = [];
    for (const pointer of pointers) {
      const version = await this.#version(pointer);
      if (version.type !== VERSION_TYPE.removed) versions.push(version);
    }
    return versions;
  }

  async #version({ path, place, index }: Pointer): Promise<Version> {
    const version = (await this.#record(place))[index];
    if (version?.path !== path) {
      throw new DiffKeeperError('DK_CORRUPT_INDEX', 'the index points at another version: run `diffkeeper repair`');
    }
    return version;
  }

  async #record(place: RecordPlace): Promise<readonly Version[]> {
    const key = `${place.pack}:${place.offset}`;
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
