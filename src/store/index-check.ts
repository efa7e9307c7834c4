/**
 * Whether the metadata still says what the packs say. LevelDB can lose whole
 * writes or single keys after a flipped bit, without an error: checksums of
 * values do not help against what is not there.
 */
import { type BytePath, isDiffKeeperError } from '../core/core.js';
import { ByteReader, ByteWriter, type Checksum } from '../format/format.js';
import type { NewestState } from './blob-index.js';
import type { Meta, MetaChange } from './meta.js';
import { checkpointSequence, GAPS_KEY, headPath, KEY_LETTER, prefixRange, versionKeyFacts } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import type { DamageReport } from './types.js';

/** More checkpoints than LevelDB's logs can hold; older ones have gone through its tables, which it checks. */
const RECENT_CHECKPOINTS = 20_000;
const KEYS_BATCH = 1000;
const NAMED_MAX = 1000;

/** Checkpoints up to this one may be missing: the packs do not have all of them any more. */
export function gapsChange(sequence: number): MetaChange {
  return { key: GAPS_KEY, value: new ByteWriter(16).varint(sequence).finish() };
}

/** Each commit brings one checkpoint key along with all that it wrote: a missing one means a lost write. */
export async function isIndexWhole(meta: Meta, state: NewestState): Promise<boolean> {
  try {
    const gaps = await meta.get(GAPS_KEY);
    const known = gaps ? new ByteReader(gaps, 'DK_CORRUPT_INDEX', 'gaps').varint() : 0;
    const oldest = Math.max(known, state.sequence - RECENT_CHECKPOINTS);
    let expected = state.sequence;
    for await (const keys of meta.rangeKeys(prefixRange(Buffer.from([KEY_LETTER.checkpoint])), { reverse: true })) {
      for (const key of keys) {
        if (expected <= oldest) return true;
        if (checkpointSequence(key) !== expected) return false;
        expected -= 1;
      }
    }
    return expected <= oldest;
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) return false;
    throw error;
  }
}

/** Compares the metadata with what a rebuild would write. */
export class IndexCheck {
  readonly #meta: MetaReader;
  readonly #checksum: Checksum;
  /** Key of a head -> checksum of its value. */
  readonly #heads = new Map<string, bigint>();
  readonly #named = new Map<string, { readonly path: BytePath; readonly sequence: number }>();
  #wrong = 0;
  #first = '';

  constructor(meta: MetaReader, checksum: Checksum) {
    this.#meta = meta;
    this.#checksum = checksum;
  }

  /** What one checkpoint brought. */
  async add(changes: readonly MetaChange[]): Promise<void> {
    const expected: MetaChange[] = [];
    for (const change of changes) {
      if (change.key[0] !== KEY_LETTER.head) expected.push(change);
      else if (change.value === null) this.#heads.delete(change.key.toString('latin1'));
      else this.#heads.set(change.key.toString('latin1'), this.#checksum(change.value));
    }
    for (let first = 0; first < expected.length; first += KEYS_BATCH) {
      await this.#compare(expected.slice(first, first + KEYS_BATCH));
    }
  }

  async #compare(expected: readonly MetaChange[]): Promise<void> {
    try {
      const values = await this.#meta.getMany(expected.map((change) => change.key));
      for (const [index, { key, value }] of expected.entries()) {
        const actual = values[index];
        // A blob may stand in two places: whether the one that is named is good shows when it is read.
        const same = actual !== undefined && (key[0] === KEY_LETTER.blob || value?.equals(actual) === true);
        if (!same) this.#note(key, actual ? 'differs' : 'is missing');
      }
    } catch (error) {
      if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
      if (expected.length === 1) this.#note((expected[0] as MetaChange).key, 'is damaged');
      else for (const change of expected) await this.#compare([change]);
    }
  }

  #note(key: Buffer, what: string): void {
    this.#wrong += 1;
    if (this.#first === '') this.#first = `an entry of kind ${key.toString('latin1', 0, 1)} ${what}`;
    if (key[0] !== KEY_LETTER.version || this.#named.size >= NAMED_MAX) return;
    this.#named.set(key.toString('latin1'), versionKeyFacts(key));
  }

  /** Compares the heads; null when the metadata is as it should be. */
  async finish(newest: number): Promise<DamageReport | null> {
    try {
      for await (const entries of this.#meta.range(prefixRange(Buffer.from([KEY_LETTER.head])))) {
        for (const [key, value] of entries) this.#compareHead(key, value, newest);
      }
      for (const text of this.#heads.keys()) this.#noteHead(Buffer.from(text, 'latin1'), newest, 'is missing');
    } catch (error) {
      if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
      this.#note(Buffer.from('h'), 'is damaged');
    }
    if (this.#wrong === 0) return null;
    const message = `${this.#first}, ${this.#wrong} in all: run \`diffkeeper repair\``;
    return { kind: 'index', where: 'the metadata', message, affected: [...this.#named.values()] };
  }

  #compareHead(key: Buffer, value: Buffer, newest: number): void {
    const text = key.toString('latin1');
    const expected = this.#heads.get(text);
    this.#heads.delete(text);
    if (expected === this.#checksum(value)) return;
    this.#noteHead(key, newest, expected === undefined ? 'should not be there' : 'differs');
  }

  #noteHead(key: Buffer, newest: number, what: string): void {
    this.#note(key, what);
    if (this.#named.size < NAMED_MAX)
      this.#named.set(key.toString('latin1'), { path: headPath(key), sequence: newest });
  }
}
