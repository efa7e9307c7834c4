/**
 * Writes the history anew, as if only the kept checkpoints had ever been made: each with the last version of every path
 * since the one before it, and in its own name. What log, timeline and a second reader see needs no further rule.
 */
import { LIMITS, throwIfAborted } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import {
  type Checkpoint,
  type Digest,
  decodeVersionsRecord,
  type EncodedVersion,
  encodeCheckpoint,
  encodedVersionBytes,
  encodeVersion,
  encodeVersionsRecord,
  RECORD,
  type RecordKind,
  VERSION_TYPE,
  type Version,
} from '../format/format.js';
import { type HistoryPlan, pathHash } from './history-plan.js';
import { misplacedVersion } from './index-changes.js';
import { encodeMetaRecord } from './meta-record.js';
import type { PackWindow } from './pack-window.js';
import type { RecordCoder } from './record-coder.js';
import { decodeMetaRecord } from './replay.js';

export interface HistoryParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly packs: { readonly records: RecordCoder };
  readonly window: PackWindow;
  readonly plan: HistoryPlan;
  /** The kept checkpoint as it is now, with the bytes that the dropped ones before it had stored as well. */
  readonly checkpoint: (sequence: number) => Promise<Checkpoint>;
  /** Takes a record, or only its length when nothing is to be written. */
  readonly append: (record: Buffer) => Promise<void>;
  /** Every version that stays. */
  readonly onVersion: (version: Version) => void;
  /** Before each record of versions is made, behind the versions of which it is. */
  readonly beforeRecord?: () => Promise<void>;
  /** Versions of a kept checkpoint, by its index, that stand in no record; each in the place of an older one of its path. */
  readonly carried?: (group: number) => readonly Version[];
  readonly signal: AbortSignal | undefined;
}

/** Gives the number of versions written, removals included. */
export async function writeHistory(parts: HistoryParts): Promise<number> {
  let previous: Digest = Buffer.alloc(32);
  let versions = 0;
  for (const [group, sequence] of parts.plan.kept.entries()) {
    throwIfAborted(parts.signal);
    const writer = new CheckpointWriter(parts, sequence);
    const carried = parts.carried?.(group) ?? [];
    const replaced = new Set(carried.map(({ path }) => path));
    for await (const version of plannedVersions(parts, group))
      if (!replaced.has(version.path)) await writer.add(version);
    for (const version of carried) await writer.add(version);
    previous = await writer.finish(await parts.checkpoint(sequence), previous);
    versions += writer.count;
  }
  return versions;
}

/** Reads each record of versions once. Throws what makes one unreadable: a history with holes must not be written. */
export async function* plannedVersions(
  parts: Pick<HistoryParts, 'engine' | 'algo' | 'window' | 'plan'>,
  group: number,
): AsyncGenerator<Version> {
  let at = { pack: -1, offset: -1 };
  let versions: readonly Version[] = [];
  for (const { pack, offset, index, first, ...known } of parts.plan.versions(group)) {
    if (pack !== at.pack || offset !== at.offset) {
      const { record } = await parts.window.record(pack, offset);
      ({ versions } = decodeVersionsRecord(await decodeMetaRecord(parts.engine, parts.algo, record)));
      at = { pack, offset };
    }
    const version = versions[index] ?? misplacedVersion();
    // What the metadata believes by mistake must not become what the packs say.
    if (version.sequence !== known.sequence || pathHash(version.path) !== known.pathHash) misplacedVersion();
    if (!(first && version.type === VERSION_TYPE.removed)) yield version;
  }
}

class CheckpointWriter {
  readonly #parts: HistoryParts;
  readonly #sequence: number;
  readonly #digests: Digest[] = [];
  #staged: EncodedVersion[] = [];
  #stagedBytes = 16;
  #changed = 0;
  #removed = 0;
  #changedBytes = 0;

  constructor(parts: HistoryParts, sequence: number) {
    this.#parts = parts;
    this.#sequence = sequence;
  }

  get count(): number {
    return this.#changed + this.#removed;
  }

  async add(version: Version): Promise<void> {
    this.#parts.onVersion(version);
    if (version.type === VERSION_TYPE.removed) this.#removed += 1;
    else this.#changed += 1;
    if (version.type === VERSION_TYPE.file) this.#changedBytes += version.size;
    const encoded = encodeVersion(version);
    const size = encodedVersionBytes(encoded);
    if (this.#staged.length > 0 && this.#stagedBytes + size > LIMITS.versionsRecordBytes) await this.#flush();
    this.#staged.push(encoded);
    this.#stagedBytes += size;
  }

  async #flush(): Promise<void> {
    if (this.#staged.length === 0) return;
    await this.#parts.beforeRecord?.();
    const bytes = encodeVersionsRecord(this.#sequence, this.#staged);
    this.#staged = [];
    this.#stagedBytes = 16;
    this.#digests.push(await this.#append(RECORD.versions, bytes));
  }

  async #append(kind: RecordKind, bytes: Buffer): Promise<Digest> {
    const { record, digest } = await encodeMetaRecord(this.#parts, kind, bytes);
    await this.#parts.append(record);
    return digest;
  }

  async finish(before: Checkpoint, previous: Digest): Promise<Digest> {
    await this.#flush();
    const facts = { changed: this.#changed, removed: this.#removed, changedBytes: this.#changedBytes };
    const checkpoint = { ...before, ...facts };
    return this.#append(RECORD.checkpoint, encodeCheckpoint({ checkpoint, previous, parts: this.#digests }));
  }
}
