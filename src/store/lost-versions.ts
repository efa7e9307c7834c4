/** What the metadata knows and the packs do not have any more, found out while it still knows. */
import { type BytePath, isDiffKeeperError, type Logger } from '../core/core.js';
import type { Version } from '../format/format.js';
import type { RecordPlace } from './blob-index.js';
import type { Heads } from './heads.js';
import { decodeStoredCheckpoint, decodeVersionPlace } from './index-changes.js';
import { lowerBound } from './lower-bound.js';
import type { Meta } from './meta.js';
import { checkpointSequence, KEY_LETTER, prefixRange, versionKeyFacts } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import { readPrune } from './prune-state.js';
import type { DamageReport } from './types.js';

/** A version that cannot be read back. */
export interface Affected {
  readonly path: BytePath;
  readonly sequence: number;
}

/** Places of records that were read while packs were walked from front to end: 8 bytes for each. */
export class SeenRecords {
  readonly #offsets = new Map<number, number[]>();

  note({ pack, offset }: RecordPlace): void {
    const offsets = this.#offsets.get(pack);
    if (offsets) offsets.push(offset);
    else this.#offsets.set(pack, [offset]);
  }

  has({ pack, offset }: RecordPlace): boolean {
    const offsets = this.#offsets.get(pack) ?? [];
    return offsets[lowerBound(offsets, offset, (one) => one)] === offset;
  }
}

interface Known {
  readonly meta: MetaReader;
  readonly heads: Heads;
  readonly seen: SeenRecords;
  /** What is newer was committed meanwhile. */
  readonly newest: number;
  /** Told of heads that are the only copy of their version. */
  readonly onCopy?: (head: Version) => void;
}

/** Places of checkpoints' records, and of the records of versions that they name, that were not seen. */
export async function* lostOfCheckpoints({ meta, seen, newest }: Known): AsyncGenerator<RecordPlace> {
  for await (const entries of meta.range(prefixRange(Buffer.from([KEY_LETTER.checkpoint])))) {
    for (const [key, value] of entries) {
      if (checkpointSequence(key) > newest) continue;
      const { place, partPlaces } = decodeStoredCheckpoint(value);
      for (const one of [...partPlaces, place]) if (!seen.has(one)) yield one;
    }
  }
}

/** Versions whose records were not seen, but those of which a head is a copy. */
export async function* lostVersions({
  meta,
  heads,
  seen,
  newest,
  onCopy = () => {},
}: Known): AsyncGenerator<Affected & { readonly place: RecordPlace }> {
  for await (const entries of meta.range(prefixRange(Buffer.from([KEY_LETTER.version])))) {
    const lost: (Affected & { readonly place: RecordPlace })[] = [];
    for (const [key, value] of entries) {
      const { place } = decodeVersionPlace(value);
      const { path, sequence } = versionKeyFacts(key);
      if (sequence <= newest && !seen.has(place)) lost.push({ path, sequence, place });
    }
    const copies = await heads.get(lost.map(({ path }) => path));
    for (const [index, one] of lost.entries()) {
      const copy = copies[index];
      if (copy?.sequence === one.sequence) onCopy(copy);
      else yield one;
    }
  }
}

/**
 * After a rebuild: the versions that the metadata before named and the new one does not have. Null when there are none,
 * or when the metadata before cannot be read.
 *
 * @param aside where the metadata before was put
 */
export async function forgottenVersions(
  { meta, logger }: { readonly meta: Meta; readonly logger: Logger },
  aside: string,
): Promise<DamageReport | null> {
  const affected: Affected[] = [];
  try {
    const before = await meta.openAside(aside);
    try {
      for await (const forgotten of forgottenKeys(before, meta)) affected.push(...forgotten);
    } finally {
      await before.close();
    }
  } catch (error) {
    if (!isDiffKeeperError(error)) throw error;
    logger.warn({ reason: error.message }, 'the metadata before cannot be read to its end: it may have known more');
  }
  return forgottenDamage(affected, { logger, aside });
}

/** What to say of versions that cannot be had any more; null for none. */
export function forgottenDamage(
  affected: readonly Affected[],
  { logger, aside }: { readonly logger: Logger; readonly aside: string },
): DamageReport | null {
  if (affected.length === 0) return null;
  logger.warn({ versions: affected.length, aside }, 'the packs no longer have all versions that the metadata named');
  const message = `${affected.length} versions that the metadata named are in no pack any more`;
  return { kind: 'version', where: 'the history', message, affected };
}

/**
 * Versions that the metadata before named and the one now does not.
 *
 * @param onKnown told of the sequence of each version that both have
 */
export async function* forgottenKeys(
  before: MetaReader,
  now: MetaReader,
  onKnown: (sequence: number) => void = () => {},
): AsyncGenerator<Affected[]> {
  const [followed, sealed] = [await readPrune(before), await readPrune(now)];
  // Of a prune that the metadata before had not followed yet: what stands up to it has other numbers since.
  const renamedTo = sealed && sealed.lastPack > (followed?.lastPack ?? 0) ? sealed.sequence : 0;
  for await (const entries of before.range(prefixRange(Buffer.from([KEY_LETTER.version])))) {
    const keys = entries.map(([key]) => key).filter((key) => versionKeyFacts(key).sequence > renamedTo);
    const values = await now.getMany(keys);
    const forgotten: Affected[] = [];
    for (const [index, key] of keys.entries()) {
      const facts = versionKeyFacts(key);
      if (values[index]) onKnown(facts.sequence);
      else forgotten.push(facts);
    }
    if (forgotten.length > 0) yield forgotten;
  }
}
