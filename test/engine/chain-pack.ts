/** A piece of a pack with a chain of short deltas in it, for what reads such chains at once. */
import { CODEC, type Codec, type Engine, TRY } from '../../src/engine/engine.js';
import { encodeExtents, encodeRecord, RECORD } from '../../src/format/format.js';
import { patternBytes } from './samples.js';

export const LINK_BYTES = 3000;

export interface PackedChain {
  /** Records of all links, one behind the other, with bytes of no record before them and between them. */
  readonly bytes: Buffer;
  /** What each link decodes to, its digest, and where its record stands. */
  readonly links: readonly PackedLink[];
}

export interface PackedLink {
  readonly content: Buffer;
  readonly digest: Buffer;
  readonly offset: number;
  readonly recordBytes: number;
}

/** Each link but the first is coded against the one before. @param options `first`: bytes before the first record */
export function packChain(
  engine: Engine,
  count: number,
  options: { readonly first?: Buffer } = {},
): Promise<PackedChain> {
  return packTree(
    engine,
    Array.from({ length: count }, (_, index) => index - 1),
    options,
  );
}

/**
 * Links of which several may be coded against one.
 * @param parents per link the number of the one that it is coded against, -1 for none
 * @param options `first`: bytes before the first record; `second`: others, between the first record and the second
 */
export async function packTree(
  engine: Engine,
  parents: readonly number[],
  options: { readonly first?: Buffer; readonly second?: Buffer } = {},
): Promise<PackedChain> {
  const pieces: Buffer[] = [options.first ?? patternBytes(500, 9)];
  const links: (PackedLink & { readonly depth: number })[] = [];
  let offset = (pieces[0] as Buffer).length;
  for (const [index, parent] of parents.entries()) {
    const before = links[parent];
    const content = Buffer.from(before?.content ?? patternBytes(LINK_BYTES, 4 + index));
    content.write(`change ${index}`, 100 * index);
    const digest = engine.digest('blake3', content);
    const { codec, payload } = await code(engine, content, before?.content);
    const extents = before ? [{ digest: before.digest, offset: 0, length: before.content.length }] : [];
    const depth = before ? before.depth + 1 : 0;
    const record = encodeRecord(
      {
        kind: RECORD.blob,
        codec,
        depth,
        digest,
        decodedBytes: content.length,
        contextList: before ? encodeExtents(extents) : Buffer.alloc(0),
        payload,
      },
      (bytes) => engine.xxh3(bytes),
    );
    links.push({ content, digest, offset, recordBytes: record.length, depth });
    // The digest of a link also stands where nothing begins.
    const between = Buffer.concat([patternBytes(index, 7), digest, (index === 0 && options.second) || Buffer.alloc(0)]);
    pieces.push(record, between);
    offset += record.length + between.length;
  }
  return { bytes: Buffer.concat(pieces), links };
}

/** As a writer of packs codes it. */
async function code(
  engine: Engine,
  content: Buffer,
  context: Buffer = Buffer.alloc(0),
): Promise<{ readonly codec: Codec; readonly payload: Buffer }> {
  const { codecs, payloads } = await engine.encodeBlobs({
    targets: content,
    targetLengths: Uint32Array.of(content.length),
    contexts: context,
    contextLengths: Uint32Array.of(context.length),
    tries: Uint8Array.of(context.length > 0 ? TRY.zstdContext : TRY.zstd),
    level: 3,
  });
  return { codec: (codecs[0] ?? CODEC.raw) as Codec, payload: Buffer.from(payloads) };
}
