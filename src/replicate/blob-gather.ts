/** Finds which blobs versions need and fetches them: contexts before what is coded against them, in batches. */
import { DiffKeeperError, inGroups, LIMITS, throwIfAborted } from '../core/core.js';
import { type Digest, digestKey, type Version } from '../format/format.js';
import type { BlobDescription, StoreExchange } from '../store/store.js';
import { decodeDescriptions, encodeDigests } from './blob-messages.js';
import { DIGESTS_MAX, VERB } from './protocol.js';
import type { RecordIntake } from './record-intake.js';
import type { Ask } from './types.js';

/** Digests in one question for descriptions. */
const DESCRIBED_AT_ONCE = 1000;
const QUESTIONS_AT_ONCE = 4;
const BATCHES_AT_ONCE = 8;
const BATCH_BYTES_MIN = 64 << 10;
const BATCH_BYTES_MAX = 1 << 20;
/** What is under way when a run is cut is sent again: all batches together are at most 1 % of what the run moves. */
const BATCH_SHARE = 100 * BATCHES_AT_ONCE;
/** Descriptions held at once: whoever names more contexts than this does not mean them. */
const DESCRIBED_MAX = 1_000_000;
/** Recipes that need not be looked into again. */
const COMPLETE_MAX = 100_000;

export interface GatherParts {
  readonly exchange: StoreExchange;
  readonly ask: Ask;
  readonly intake: RecordIntake;
  readonly signal: AbortSignal | undefined;
  /** Told how many bytes are to come, as they become known. */
  readonly onPlanned: (bytes: number) => void;
}

export class BlobGather {
  readonly #parts: GatherParts;
  readonly #complete = new Set<string>();
  /** Bytes of all records asked for so far. */
  #planned = 0;

  constructor(parts: GatherParts) {
    this.#parts = parts;
  }

  /** A prune has run here: nothing that was found before needs to be there still. */
  forget(): void {
    this.#complete.clear();
  }

  /**
   * Fetches until these versions need nothing more.
   *
   * @throws DK_NOT_FOUND when the other side does not have what it named: a prune there drops blobs
   */
  async complete(versions: readonly Version[]): Promise<void> {
    if (this.#complete.size > COMPLETE_MAX) this.forget();
    // Each round brings all that it found, or throws.
    for (;;) {
      const { recipes, blobs } = await this.#parts.exchange.missing(versions, this.#complete);
      if (recipes.length + blobs.length === 0) return;
      await this.#fetch([...recipes, ...blobs]);
    }
  }

  async #fetch(digests: readonly Digest[]): Promise<void> {
    const described = await this.#describeAll(digests);
    let bytes = 0;
    for (const { recordBytes } of described.values()) bytes += recordBytes;
    this.#planned += bytes;
    this.#parts.onPlanned(bytes);
    const batchBytes = Math.min(BATCH_BYTES_MAX, Math.max(BATCH_BYTES_MIN, this.#planned / BATCH_SHARE));
    for (const level of levelsOf(described)) {
      await this.#fetchLevel(batchesOf(level, batchBytes));
    }
  }

  /** Several batches at a time, the next as soon as one is done. */
  async #fetchLevel(batches: readonly BlobDescription[][]): Promise<void> {
    const { intake, signal } = this.#parts;
    let next = 0;
    let failed = false;
    const work = async (): Promise<void> => {
      while (next < batches.length && !failed) {
        throwIfAborted(signal);
        const batch = batches[next] as BlobDescription[];
        next += 1;
        await intake.fetch(batch, this.#planned, signal);
      }
    };
    const workers = Array.from({ length: Math.min(BATCHES_AT_ONCE, batches.length) }, () =>
      work().catch((error: unknown) => {
        failed = true;
        throw error;
      }),
    );
    // What the others have under way is not wasted: it is kept before the failure is told.
    const results = await Promise.allSettled(workers);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** These blobs and, as far as they are not here, those that they are coded against. */
  async #describeAll(digests: readonly Digest[]): Promise<Map<string, BlobDescription>> {
    const described = new Map<string, BlobDescription>();
    let asked = [...digests];
    for (let depth = 0; asked.length > 0; depth += 1) {
      throwIfAborted(this.#parts.signal);
      if (depth > LIMITS.chainDepthMax || described.size + asked.length > DESCRIBED_MAX) {
        throw new DiffKeeperError('DK_LIMIT', 'the other side names contexts without end');
      }
      const pieces: Digest[][] = [];
      for (let first = 0; first < asked.length; first += DESCRIBED_AT_ONCE) {
        pieces.push(asked.slice(first, first + DESCRIBED_AT_ONCE));
      }
      const contexts = new Map<string, Digest>();
      for (const found of (await inGroups(pieces, QUESTIONS_AT_ONCE, (piece) => this.#describe(piece))).flat()) {
        described.set(digestKey(found.digest), found);
        for (const context of found.contexts) contexts.set(digestKey(context), context);
      }
      const unknown = [...contexts.values()].filter((context) => !described.has(digestKey(context)));
      const here = await this.#parts.exchange.has(unknown);
      asked = unknown.filter((_, index) => !here[index]);
    }
    return described;
  }

  async #describe(digests: readonly Digest[]): Promise<BlobDescription[]> {
    const { ask, signal } = this.#parts;
    const all: BlobDescription[] = [];
    for (let done = 0; done < digests.length; done = all.length) {
      const asked = digests.slice(done);
      const answer = await ask(VERB.describe, encodeDigests(asked), signal);
      for (const [index, found] of decodeDescriptions(answer, asked).entries()) {
        if (found) {
          all.push(found);
          continue;
        }
        const name = (asked[index] as Digest).toString('hex');
        throw new DiffKeeperError('DK_NOT_FOUND', `the other side does not have blob ${name}, which it named`, {
          name,
        });
      }
    }
    return all;
  }
}

/** Lists of which each needs only blobs of those before it. */
function levelsOf(described: ReadonlyMap<string, BlobDescription>): BlobDescription[][] {
  const levels: BlobDescription[][] = [];
  const known = new Map<string, number>();
  // A context is always less deep than what needs it; who says otherwise is refused when the record comes.
  for (const one of [...described.values()].sort((a, b) => a.depth - b.depth)) {
    let level = 0;
    for (const context of one.contexts) level = Math.max(level, (known.get(digestKey(context)) ?? -1) + 1);
    known.set(digestKey(one.digest), level);
    const same = levels[level];
    if (same) same.push(one);
    else levels[level] = [one];
  }
  return levels;
}

function batchesOf(blobs: readonly BlobDescription[], bytesMax: number): BlobDescription[][] {
  const batches: BlobDescription[][] = [];
  let bytes = 0;
  for (const one of blobs) {
    const last = batches[batches.length - 1];
    if (last && last.length < DIGESTS_MAX && bytes + one.recordBytes <= bytesMax) {
      last.push(one);
      bytes += one.recordBytes;
      continue;
    }
    batches.push([one]);
    bytes = one.recordBytes;
  }
  return batches;
}
