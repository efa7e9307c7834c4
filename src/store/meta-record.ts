/** Records of versions, checkpoints and prunes: zstd when it helps, no context. */
import { CODEC, type Engine, type HashAlgo } from '../engine/engine.js';
import type { Digest, RecordKind } from '../format/format.js';
import type { RecordCoder } from './record-coder.js';

/** Below this compression cannot win back its frame. */
const COMPRESSED_FROM = 256;

export async function encodeMetaRecord(
  parts: { readonly engine: Engine; readonly algo: HashAlgo; readonly packs: { readonly records: RecordCoder } },
  kind: RecordKind,
  bytes: Buffer,
): Promise<{ readonly record: Buffer; readonly digest: Digest }> {
  const { engine, algo, packs } = parts;
  const digest = engine.digest(algo, bytes);
  const packed = bytes.length > COMPRESSED_FROM ? await engine.compress(bytes, { level: 3 }) : bytes;
  const smaller = packed.length < bytes.length;
  const record = packs.records.encode({
    kind,
    codec: smaller ? CODEC.zstd : CODEC.raw,
    depth: 0,
    digest,
    decodedBytes: bytes.length,
    contextList: Buffer.alloc(0),
    payload: smaller ? packed : bytes,
  });
  return { record, digest };
}
