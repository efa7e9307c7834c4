/** A base and the deltas since, as the older system chained them. */
import { legacyMerkleRoot, sha256 } from './content-id.js';
import type { StoredContent } from './content-writer.js';
import { openGzip } from './gunzip-value.js';
import { CONTENT_BYTES_MAX, isDamage, isDelta } from './legacy-contents.js';
import type { LegacyMetadata } from './legacy-metadata.js';
import type { LegacyEntry } from './legacy-source.js';
import type { Attempt, RebuildParts } from './rebuild-file.js';

/** Chains of the older system end after its snapshot interval; longer lists are not put in another order. */
const REORDERED_MAX = 64;

/** Whether the stored Merkle root is that of the names. */
export function rootHolds(meta: LegacyMetadata, names: readonly string[] = meta.names): boolean {
  const root = legacyMerkleRoot(names);
  return root !== null && meta.merkleRoot !== null && root.equals(meta.merkleRoot);
}

export interface ChainFacts {
  readonly expected: Buffer | null;
  readonly gzips: readonly StoredContent[];
}

/**
 * Every version from the base on. The root over the deltas' names tells their order; the base is named, or (the older
 * program's own migration lost that name) whichever kept content leads to the stored hash.
 */
export async function rebuildChain(
  parts: RebuildParts,
  entry: LegacyEntry,
  meta: LegacyMetadata,
  facts: ChainFacts,
): Promise<Attempt> {
  const named = rootHolds(meta);
  if (meta.baseName !== '') {
    const base = await readOr(() => parts.contents.read(meta.baseName));
    if (typeof base === 'string') return failed(base);
    const attempt = await follow(parts, base, meta.names, named);
    if (named || matches(attempt, facts.expected)) return attempt;
    const order = reordered(meta);
    if (!order) return attempt;
    const again = await follow(parts, base, order, true);
    return { ...again, recovered: 'its deltas were listed in a wrong order' };
  }
  for await (const base of possibleBases(parts, entry, meta)) {
    const last = await lastOf(parts, base, meta.names);
    if (!last || !facts.expected?.equals(sha256(last))) continue;
    const attempt = await follow(parts, base, meta.names, named);
    return { ...attempt, recovered: 'its base was not named any more' };
  }
  return failed('its base is not named, and no content that was kept leads to its hash');
}

function failed(reason: string): Attempt {
  return { versions: [], complete: false, proven: false, reason };
}

function matches(attempt: Attempt, expected: Buffer | null): boolean {
  const last = attempt.complete ? attempt.versions.at(-1) : undefined;
  return last !== undefined && expected !== null && last.sha256.equals(expected);
}

async function readOr(read: () => Promise<Buffer>): Promise<Buffer | string> {
  try {
    return await read();
  } catch (error) {
    if (!isDamage(error)) throw error;
    return error.message;
  }
}

/** Stores the base and each version after it, up to the first delta that is damaged. */
async function follow(parts: RebuildParts, base: Buffer, names: readonly string[], proven: boolean): Promise<Attempt> {
  const versions = [await parts.writer.addBytes(base)];
  let bytes = base;
  for (const name of names) {
    const next = await step(parts, bytes, name);
    // What follows a delta in the wrong place is no version of the file: only the base is certain then.
    if (typeof next === 'string') return { ...failed(next), versions: proven ? versions : versions.slice(0, 1) };
    const content = versions.at(-1);
    versions.push(await parts.writer.addBytes(next, content && { content, bytes }));
    bytes = next;
  }
  return { versions, complete: true, proven, reason: '' };
}

async function step(parts: RebuildParts, bytes: Buffer, name: string): Promise<Buffer | string> {
  return readOr(async () => parts.contents.applyDelta(bytes, await parts.contents.read(name)));
}

async function lastOf(parts: RebuildParts, base: Buffer, names: readonly string[]): Promise<Buffer | null> {
  let bytes = base;
  for (const name of names) {
    const next = await step(parts, bytes, name);
    if (typeof next === 'string') return null;
    bytes = next;
  }
  return bytes;
}

/** Contents that may be the base: the compressed snapshot, then whatever else was stored whole for this file. */
async function* possibleBases(parts: RebuildParts, entry: LegacyEntry, meta: LegacyMetadata): AsyncGenerator<Buffer> {
  for (const value of entry.gzips) {
    const bytes = await readOr(async () => gathered(await openGzip(value)));
    if (typeof bytes !== 'string') yield bytes;
  }
  const named = new Set(meta.names);
  for (const name of await parts.source.contentsOf(entry.name)) {
    if (named.has(name)) continue;
    const bytes = await readOr(() => parts.contents.read(name));
    if (typeof bytes !== 'string' && !isDelta(bytes)) yield bytes;
  }
}

async function gathered(content: Buffer | AsyncIterable<Buffer>): Promise<Buffer> {
  if (Buffer.isBuffer(content)) return content;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    // Deltas are made of content in memory: the older system had none for longer files.
    if (bytes > CONTENT_BYTES_MAX) return Buffer.alloc(0);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The one exchange of two names that gives the stored root, if there is one. */
function reordered(meta: LegacyMetadata): readonly string[] | null {
  const { names } = meta;
  if (names.length > REORDERED_MAX) return null;
  for (let one = 0; one < names.length; one += 1) {
    for (let other = one + 1; other < names.length; other += 1) {
      const order = [...names];
      [order[one], order[other]] = [names[other] as string, names[one] as string];
      if (rootHolds(meta, order)) return order;
    }
  }
  return null;
}
