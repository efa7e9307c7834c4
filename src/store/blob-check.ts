/** Checks blobs for `verify`: which of them are damaged or missing, and which versions need them. */
import { isDiffKeeperError, throwIfAborted } from '../core/core.js';
import {
  type Digest,
  decodeExtents,
  digestKey,
  PACK_HEADER_BYTES,
  RECORD,
  type RecordHead,
  type Version,
} from '../format/format.js';
import type { RecordPlace } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { blobsOfList, blobsOfVersion } from './blob-uses.js';
import type { Affected } from './lost-versions.js';
import { type ScannedRecord, scanPack } from './pack-scan.js';
import type { Packs } from './packs.js';
import { RecipeFit } from './recipe-fit.js';
import type { DamageReport, VerifyOptions } from './types.js';

const CHECK_BATCH = 64;
const DIGEST_BYTES = 32;

/** A version and the blobs that it names itself, their digests one after the other: a long history has millions. */
interface VersionUses extends Affected {
  readonly blobs: string;
}

export interface BlobCheckParts {
  readonly blobs: BlobStore;
  readonly packs: Packs;
}

export class BlobCheck {
  readonly #parts: BlobCheckParts;
  readonly #blobs: Digest[] = [];
  readonly #recipes: Digest[] = [];
  /** Key of each of both -> its bytes. */
  readonly #present = new Map<string, number>();
  readonly #fit: RecipeFit;
  /** Keys of blobs that others stand on, and that did not stand before them. */
  readonly #bases = new Set<string>();
  readonly #uses: VersionUses[] = [];
  /** Digest in hex -> what is wrong with it. */
  readonly #bad = new Map<string, string>();
  /** Those of them that lack what they name: after a prune that is no damage of what no version needs. */
  readonly #lacking = new Set<string>();
  /** Share of the blobs that is decoded. */
  readonly #share: number;
  blobsRead = 0;
  /** Keys of blobs that recipes name and that are in no pack. */
  readonly missing = new Set<string>();

  /** @throws RangeError for a bad `sample` */
  constructor(parts: BlobCheckParts, { readData = true, sample = 1 }: VerifyOptions) {
    if (!(sample > 0 && sample <= 1)) throw new RangeError(`sample must be above 0 and at most 1, came ${sample}`);
    this.#parts = parts;
    this.#share = readData ? sample : 0;
    this.#fit = new RecipeFit(this.#present);
  }

  get blobs(): number {
    return this.#blobs.length;
  }

  /** A record of a blob or a recipe. */
  noteRecord({ kind, digest, decodedBytes }: RecordHead, contextList: Buffer): void {
    if (kind !== RECORD.blob && kind !== RECORD.recipe) return;
    (kind === RECORD.blob ? this.#blobs : this.#recipes).push(digest);
    this.#present.set(digestKey(digest), decodedBytes);
    // What is decoded shows by itself whether all that it stands on is there.
    if (this.#share === 1 || contextList.length === 0) return;
    for (const base of basesOf(contextList)) if (!this.#present.has(digestKey(base))) this.#bases.add(digestKey(base));
  }

  noteUses(version: Version): void {
    const blobs = blobsOfVersion(version).map(digestKey).join('');
    if (blobs !== '') this.#uses.push({ path: version.path, sequence: version.sequence, blobs });
    this.#fit.noteUses(version);
  }

  /** @param packs those that hold blobs, in the order in which they were written */
  async run(packs: readonly number[], onShare: (share: number) => void, signal?: AbortSignal): Promise<void> {
    const wanted = this.#share > 0 ? sampleOf(this.#blobs, this.#share) : [];
    this.blobsRead = wanted.length;
    const all = [...this.#recipes, ...wanted];
    for (let first = 0; first < all.length; first += CHECK_BATCH) {
      throwIfAborted(signal);
      const digests = all.slice(first, first + CHECK_BATCH);
      const blobs = await readAll(this.#parts.blobs, digests);
      for (const [index, blob] of blobs.entries()) {
        if (Buffer.isBuffer(blob)) continue;
        this.#bad.set((digests[index] as Digest).toString('hex'), blob.message);
      }
      onShare((first + digests.length) / all.length);
    }
    for (const key of this.#bases) this.#needs(key);
    for (const { blobs } of this.#uses) for (const key of digestKeys(blobs)) this.#needs(key);
    if (this.#share < 1 && this.#bad.size > 0) await this.#spread(packs, signal);
    await this.#checkRecipes();
  }

  #needs(key: string): void {
    if (!this.#present.has(key) && !this.#bad.has(hexOf(key))) this.#bad.set(hexOf(key), 'it is missing');
  }

  #isBad(digest: Digest): boolean {
    return !this.#present.has(digestKey(digest)) || this.#bad.has(digest.toString('hex'));
  }

  /** Every blob that a recipe names must be there; each is walked once. */
  async #checkRecipes(): Promise<void> {
    for (const recipe of this.#recipes) {
      const name = recipe.toString('hex');
      if (this.#bad.has(name)) continue;
      const [bytes] = await readAll(this.#parts.blobs, [recipe]);
      if (!Buffer.isBuffer(bytes)) continue;
      let lost: Digest | undefined;
      try {
        const extents = decodeExtents(bytes);
        this.#fit.noteRecipe(digestKey(recipe), extents);
        for (const { digest } of extents) {
          if (!digest || !this.#isBad(digest)) continue;
          lost ??= digest;
          if (!this.#present.has(digestKey(digest))) this.missing.add(digestKey(digest));
        }
      } catch (error) {
        if (!isDiffKeeperError(error, 'DK_CORRUPT_RECIPE')) throw error;
        this.#bad.set(name, error.message);
        continue;
      }
      if (!lost) continue;
      this.#bad.set(name, needs(lost));
      this.#lacking.add(name);
    }
  }

  /**
   * Blobs that were not decoded and stand on bad ones. The packs are walked instead of keeping in memory what stands on
   * what: damage is rare. A blob stands behind its bases, so that once is enough unless a prune has moved some.
   */
  async #spread(packs: readonly number[], signal: AbortSignal | undefined): Promise<void> {
    for (let before = -1; before < this.#bad.size; ) {
      before = this.#bad.size;
      for (const pack of packs) {
        throwIfAborted(signal);
        await this.#spreadIn(pack).catch((error: unknown) => {
          // A pack that cannot be read is told already.
          if (!isDiffKeeperError(error)) throw error;
        });
      }
    }
  }

  async #spreadIn(pack: number): Promise<void> {
    const { packs } = this.#parts;
    const end = await packs.length(pack);
    const range = { pack, from: PACK_HEADER_BYTES, end, loosely: true };
    for await (const scanned of scanPack(packs, range)) await this.#spreadTo(scanned);
  }

  async #spreadTo(scanned: ScannedRecord): Promise<void> {
    if (scanned.kind !== 'record' || scanned.record.contextList.length === 0) return;
    const { digest } = scanned.record.head;
    if (this.#bad.has(digest.toString('hex'))) return;
    const lost = basesOf(scanned.record.contextList).find((base) => this.#isBad(base));
    if (!lost) return;
    if (await this.#isUsed(digest, scanned.place)) this.#bad.set(digest.toString('hex'), needs(lost));
  }

  /** A blob may stand in two places, on other bases in each. */
  async #isUsed(digest: Digest, { pack, offset }: RecordPlace): Promise<boolean> {
    try {
      const [info] = await this.#parts.blobs.infos([digest]);
      return info?.pack === pack && info.offset === offset;
    } catch (error) {
      if (isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) return true;
      throw error;
    }
  }

  /** What is wrong with blobs, and the versions that each of them reaches. */
  damage(): DamageReport[] {
    return [...this.#badBlobs(), ...this.#fit.damage()];
  }

  #badBlobs(): DamageReport[] {
    if (this.#bad.size === 0) return [];
    const affected = new Map<string, Affected[]>();
    for (const { path, sequence, blobs } of this.#uses) {
      for (const key of digestKeys(blobs)) {
        const name = hexOf(key);
        if (!this.#bad.has(name)) continue;
        const named = affected.get(name) ?? [];
        named.push({ path, sequence });
        affected.set(name, named);
      }
    }
    return [...this.#bad].flatMap(([where, message]) => {
      const needed = affected.get(where);
      if (needed === undefined && this.#lacking.has(where)) return [];
      return [{ kind: 'blob', where, message, affected: needed ?? [] }];
    });
  }
}

function needs(digest: Digest): string {
  return `it needs blob ${digest.toString('hex')}, which is damaged or missing`;
}

/** Of a list that cannot be read nothing is known. */
function basesOf(contextList: Buffer): Digest[] {
  try {
    return blobsOfList(contextList);
  } catch (error) {
    if (isDiffKeeperError(error)) return [];
    throw error;
  }
}

/** A share of the blobs, another one each time: those whose digests lie in a part of all digests. */
function sampleOf(blobs: readonly Digest[], share: number): readonly Digest[] {
  if (share >= 1) return blobs;
  const from = Math.random();
  return blobs.filter((digest) => (digest.readUInt32LE() / 2 ** 32 - from + 1) % 1 < share);
}

/** As `read`, where a damaged index entry costs one blob only. */
async function readAll(blobs: BlobStore, digests: readonly Digest[]): Promise<(Buffer | Error)[]> {
  try {
    return await blobs.read(digests, { byIndex: true });
  } catch (error) {
    if (!isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) throw error;
    if (digests.length === 1) return [error];
  }
  const all: (Buffer | Error)[] = [];
  for (const digest of digests) all.push(...(await readAll(blobs, [digest])));
  return all;
}

function* digestKeys(blobs: string): Generator<string> {
  for (let at = 0; at < blobs.length; at += DIGEST_BYTES) yield blobs.slice(at, at + DIGEST_BYTES);
}

function hexOf(key: string): string {
  return Buffer.from(key, 'latin1').toString('hex');
}
