/**
 * Writes down what the packs have lost: blobs, so that nobody takes them for stored and no rebuild is tried for them; and
 * heads that cannot be read back, so that a capture takes these paths anew although their content did not change.
 */
import { type BytePath, DiffKeeperError, isDiffKeeperError, LIMITS, type Logger, pathToText } from '../core/core.js';
import { type Checkpoint, digestKey } from '../format/format.js';
import { decodeBlobInfo, readNewest } from './blob-index.js';
import { decodeStoredCheckpoint } from './index-changes.js';
import { type Mended, mendedChange, newGeneration, readMended } from './mended.js';
import type { Meta, MetaChange } from './meta.js';
import { blobKey, checkpointKey, KEY_LETTER, lostBlobKey, lostHeadKey, prefixRange } from './meta-keys.js';
import type { DamageReport, VerifyOptions } from './types.js';
import { type VerifyParts, verifyStore } from './verify.js';

const BLOBS_AT_ONCE = 64;
/** Pieces of damage, and paths, that one line of the log names. */
const NAMED = 3;

export type LossParts = VerifyParts & { readonly meta: Meta; readonly logger: Logger };

export interface Losses {
  /** Blobs that were in the index and do not decode. */
  readonly droppedBlobs: number;
  /** Paths whose newest version cannot be read back. */
  readonly lostHeads: number;
}

/** What a look at the whole store found. */
export interface Looked {
  readonly damage: readonly DamageReport[];
  /** Keys of blobs that are in no pack. */
  readonly missing: ReadonlySet<string>;
  /** Heads whose own records are lost. */
  readonly unwritten: ReadonlySet<BytePath>;
}

/** Verifies, and gathers what is lost. Throws as `verifyStore`. */
export async function look(parts: LossParts, options: VerifyOptions): Promise<Looked> {
  const unwritten = new Set<BytePath>();
  let missing: ReadonlySet<string> = new Set();
  const told = {
    onUnwritten: (path: BytePath) => void unwritten.add(path),
    onMissing: (keys: ReadonlySet<string>) => {
      missing = keys;
    },
  };
  const { damage } = await verifyStore({ ...parts, ...told }, options);
  return { damage, missing, unwritten };
}

export async function noteLosses(parts: LossParts, { damage, missing, unwritten }: Looked): Promise<Losses> {
  const before = await readMended(parts.meta);
  const blobs = await lostBlobs(parts, damage, missing);
  const paths = await lostPaths(parts, damage, unwritten);
  const lost = blobs.lost.length + paths.length > 0;
  const mended: Mended = {
    ...before,
    unlooked: false,
    lost: before.lost || lost,
    sequence: damage.length > 0 ? (parts.newest?.sequence ?? 0) : 0,
    generation: lost ? newGeneration() : before.generation,
  };
  function* changes(): Generator<MetaChange> {
    for (const digest of blobs.lost) yield { key: lostBlobKey(digest), value: Buffer.alloc(0) };
    for (const digest of blobs.dropped) yield { key: blobKey(digest), value: null };
    for (const path of paths) yield { key: lostHeadKey(path), value: Buffer.alloc(0) };
    yield mendedChange(mended);
  }
  if (lost || damage.length > 0 || before.unlooked) await parts.meta.writeInBatches(changes());
  if (blobs.dropped.length > 0) parts.blobs.clearCache();
  return { droppedBlobs: blobs.dropped.length, lostHeads: paths.length };
}

/** A capture that finds the same bytes again must store them, and so mends the older versions, too. */
async function lostBlobs(
  { blobs }: LossParts,
  damage: readonly DamageReport[],
  missing: ReadonlySet<string>,
): Promise<{ readonly lost: readonly Buffer[]; readonly dropped: readonly Buffer[] }> {
  const named = damage.filter(({ kind }) => kind === 'blob').map(({ where }) => Buffer.from(where, 'hex'));
  const keys = new Set([...named.map(digestKey), ...missing]);
  const digests = [...keys].map((key) => Buffer.from(key, 'latin1'));
  const lost: Buffer[] = [];
  const dropped: Buffer[] = [];
  for (let first = 0; first < digests.length; first += BLOBS_AT_ONCE) {
    const some = digests.slice(first, first + BLOBS_AT_ONCE);
    const infos = await blobs.infos(some);
    const contents = await blobs.read(some, { byIndex: true });
    for (const [index, content] of contents.entries()) {
      if (Buffer.isBuffer(content) || !isDamage(content)) continue;
      lost.push(some[index] as Buffer);
      if (infos[index]) dropped.push(some[index] as Buffer);
    }
  }
  return { lost, dropped };
}

/** What the system refuses now it may give the next time. */
function isDamage(error: unknown): boolean {
  return isDiffKeeperError(error) && /^DK_(CORRUPT|DIGEST)/.test(error.code);
}

async function lostPaths(
  { heads }: LossParts,
  damage: readonly DamageReport[],
  unwritten: ReadonlySet<BytePath>,
): Promise<BytePath[]> {
  const sequences = new Map<BytePath, Set<number>>();
  for (const { affected } of damage) {
    for (const { path, sequence } of affected) {
      const known = sequences.get(path);
      if (known) known.add(sequence);
      else sequences.set(path, new Set([sequence]));
    }
  }
  const found = new Set(unwritten);
  const named = [...sequences.keys()];
  for (let first = 0; first < named.length; first += LIMITS.batchFiles) {
    const some = named.slice(first, first + LIMITS.batchFiles);
    for (const head of await heads.get(some)) {
      if (head && sequences.get(head.path)?.has(head.sequence)) found.add(head.path);
    }
  }
  return [...found];
}

/** What the packs say, without decoding: which blobs are there, and on which others they stand. Says so when anything is lost. */
export async function lookForLosses(parts: Omit<LossParts, 'newest'>): Promise<void> {
  const all = { ...parts, newest: await newestOf(parts.meta), strict: true };
  const looked = await look(all, { readData: false });
  const { damage } = looked;
  const unreadable = damage.find(({ kind }) => kind === 'unreadable');
  if (unreadable) throw new DiffKeeperError('DK_IO', `${unreadable.where}: ${unreadable.message}`);
  await dropGone(parts);
  const { lostHeads } = await noteLosses(all, looked);
  if (damage.length === 0 && lostHeads === 0) return;
  const named = damage.slice(0, NAMED).map(({ where, message }) => `${where}: ${message}`);
  const paths = damage.flatMap(({ affected }) => affected.map(({ path }) => pathToText(path)));
  const facts = { damage: named, lost: lostHeads, paths: [...new Set(paths)].slice(0, NAMED) };
  const message = 'what was stored is damaged: the next capture stores anew what it still finds';
  parts.logger.warn(facts, `${message} (\`diffkeeper verify\` names all of it)`);
}

/** Index entries of what stood in a pack that is missing, or behind its end: what a recipe there named nobody can tell. */
async function dropGone({ meta, packs }: Pick<LossParts, 'meta' | 'packs'>): Promise<void> {
  const ends = new Map<number, number>();
  for (const pack of await packs.list()) ends.set(pack, await packs.length(pack));
  for await (const entries of meta.range(prefixRange(Buffer.from([KEY_LETTER.blob])))) {
    const changes: MetaChange[] = [];
    for (const [key, value] of entries) {
      const { digest, pack, offset, recordBytes } = decodeBlobInfo(value, key.subarray(1));
      if (offset + recordBytes <= (ends.get(pack) ?? 0)) continue;
      changes.push({ key: lostBlobKey(digest), value: Buffer.alloc(0) }, { key, value: null });
    }
    if (changes.length > 0) await meta.write(changes, true);
  }
}

async function newestOf(meta: Meta): Promise<Checkpoint | null> {
  const state = await readNewest(meta);
  const value = state?.sequence ? await meta.get(checkpointKey(state.sequence)) : undefined;
  return value ? decodeStoredCheckpoint(value).checkpoint : null;
}
