/** Records of versions, checkpoints and prunes: zstd when it helps, no context. */
import { CODEC, type Engine, type HashAlgo } from '../engine/engine.js';
import { type Checksum, type Digest, encodeRecord, type RecordKind } from '../format/format.js';

/** Below this compression cannot win back its frame. */
const COMPRESSED_FROM = 256;

export async function encodeMetaRecord(
  parts: { readonly engine: Engine; readonly algo: HashAlgo; readonly checksum: Checksum },
  kind: RecordKind,
  bytes: Buffer,
): Promise<{ readonly record: Buffer; readonly digest: Digest }> {
  const { engine, algo, checksum } = parts;
  const digest = engine.digest(algo, bytes);
  const packed = bytes.length > COMPRESSED_FROM ? await engine.compress(bytes, { level: 3 }) : bytes;
  const smaller = packed.length < bytes.length;
  const record = encodeRecord(
    {
      kind,
      codec: smaller ? CODEC.zstd : CODEC.raw,
      depth: 0,
      digest,
      decodedBytes: bytes.length,
      contextList: Buffer.alloc(0),
      payload: smaller ? packed : bytes,
    },
    checksum,
  );
  return { record, digest };
}
