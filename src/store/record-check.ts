/**
 * Checks records of blobs that come from elsewhere before they are appended: a store must never hold a blob under a
 * wrong digest, nor one whose context is not there. Every one of them is decoded.
 */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { CODEC, type Engine, type HashAlgo } from '../engine/engine.js';
import {
  type Checksum,
  type DecodedRecord,
  type Digest,
  decodeExtents,
  decodeRecord,
  decodeRecordHead,
  digestKey,
  type Extent,
  encodeRecord,
  extentsBytes,
  RECORD,
  type RecordHead,
} from '../format/format.js';
import type { BlobStore } from './blob-store.js';
import type { BlobInfo } from './types.js';

const NONE = Buffer.alloc(0);
/** Contexts and decoded bytes of one decode call; a single record may need a little more. */
const CALL_BYTES = 16 << 20;

export interface CheckedRecord {
  readonly bytes: Buffer;
  readonly head: RecordHead;
}

interface Parts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly checksum: Checksum;
  readonly blobs: BlobStore;
}

interface Candidate extends CheckedRecord {
  readonly record: DecodedRecord;
  readonly context: readonly Extent[];
  readonly contextBytes: number;
}

/**
 * Those that are not stored yet, each digest once. Contexts must be stored already.
 *
 * @throws DK_CORRUPT_RECORD, DK_CORRUPT_RECIPE for what is no record of a blob, or names what is not there;
 * DK_DIGEST_MISMATCH when the bytes are others than the digest says
 */
export async function checkRecords(parts: Parts, records: readonly Buffer[]): Promise<CheckedRecord[]> {
  const seen = new Set<string>();
  const read = records.map((bytes) => readRecord(bytes, parts.checksum));
  const known = await parts.blobs.infos(read.map(({ head }) => head.digest));
  const fresh = read.filter(({ head }, index) => {
    const key = digestKey(head.digest);
    if (known[index] !== undefined || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
  const depths = await checkContexts(parts.blobs, fresh);
  const checked: CheckedRecord[] = [];
  for (let first = 0; first < fresh.length; ) {
    let end = first;
    let bytes = 0;
    while (end < fresh.length && (end === first || bytes + needs(fresh[end] as Candidate) <= CALL_BYTES)) {
      bytes += needs(fresh[end] as Candidate);
      end += 1;
    }
    const some = fresh.slice(first, end);
    const contents = await checkContent(parts, some);
    for (const [index, one] of some.entries()) {
      checked.push(asDeep(one, depths[first + index] as number, contents[index] as Buffer, parts.checksum));
    }
    first = end;
  }
  return checked;
}

/**
 * As it may be stored here. Where it comes from its context may have become absolute bytes since it was here: then it is deeper here,
 * and too deep a chain is ended.
 */
function asDeep(candidate: Candidate, depth: number, content: Buffer, checksum: Checksum): CheckedRecord {
  const { record, head } = candidate;
  if (head.depth >= depth) return candidate;
  const { contextList, payload } = record;
  const facts =
    depth <= LIMITS.chainDepthMax
      ? { ...head, depth, contextList, payload }
      : { ...head, codec: CODEC.raw, depth: 0, contextList: NONE, payload: content };
  const bytes = encodeRecord(facts, checksum);
  return { bytes, head: decodeRecordHead(bytes, 0) };
}

function needs({ head, contextBytes }: Candidate): number {
  return head.decodedBytes + contextBytes;
}

function refuse(digest: Digest, reason: string): never {
  const name = digest.toString('hex');
  throw new DiffKeeperError('DK_CORRUPT_RECORD', `a record of blob ${name} was refused: ${reason}`, { name });
}

function readRecord(bytes: Buffer, checksum: Checksum): Candidate {
  const record = decodeRecord(bytes, 0, checksum);
  const { head, contextList } = record;
  const { kind, codec, depth, digest } = head;
  if (kind !== RECORD.blob && kind !== RECORD.recipe) refuse(digest, `it is of kind ${kind}`);
  if (head.decodedBytes === 0) refuse(digest, 'it has no bytes');
  const plain = codec === CODEC.raw || codec === CODEC.zstd;
  if (!plain && codec !== CODEC.zstdContext && codec !== CODEC.xor) refuse(digest, `it has the unknown codec ${codec}`);
  if (plain && (contextList.length > 0 || depth !== 0)) refuse(digest, 'it has a context that its codec does not use');
  const context = contextList.length > 0 ? decodeExtents(contextList) : [];
  const contextBytes = extentsBytes(context);
  if (contextBytes > LIMITS.contextBytes) refuse(digest, `its context has ${contextBytes} bytes`);
  return { bytes, head, record, context, contextBytes };
}

/** How deep each is by its context as it is here. */
async function checkContexts(blobs: BlobStore, candidates: readonly Candidate[]): Promise<number[]> {
  const wanted = new Map<string, Digest>();
  for (const { context, head } of candidates) {
    for (const { digest } of context) {
      if (digest === null) refuse(head.digest, 'its context has zeros');
      wanted.set(digestKey(digest), digest);
    }
  }
  const keys = [...wanted.keys()];
  const infos = await blobs.infos([...wanted.values()]);
  const known = new Map(keys.map((key, index) => [key, infos[index]]));
  return candidates.map((candidate) => checkContext(candidate, known));
}

function checkContext({ head, context }: Candidate, known: ReadonlyMap<string, BlobInfo | undefined>): number {
  let depth = 0;
  for (const { digest, offset, length } of context) {
    const info = known.get(digestKey(digest as Digest));
    if (!info) refuse(head.digest, `its context ${(digest as Digest).toString('hex')} is not here`);
    if (offset + length > info.decodedBytes) refuse(head.digest, 'its context ends outside a blob');
    depth = Math.max(depth, info.depth + 1);
  }
  return depth;
}

/** The content of each: what they decode to has the digests that they say. */
async function checkContent({ engine, algo, blobs }: Parts, candidates: readonly Candidate[]): Promise<Buffer[]> {
  const { status, data } = await engine.decodeBlobs({
    payloads: Buffer.concat(candidates.map(({ record }) => record.payload)),
    payloadLengths: Uint32Array.from(candidates, ({ record }) => record.payload.length),
    codecs: Uint8Array.from(candidates, ({ head }) => head.codec),
    decodedLengths: Uint32Array.from(candidates, ({ head }) => head.decodedBytes),
    contexts: await blobs.readExtents(candidates.flatMap(({ context }) => context)),
    contextLengths: Uint32Array.from(candidates, ({ contextBytes }) => contextBytes),
    digests: Buffer.concat(candidates.map(({ head }) => head.digest)),
    algo,
  });
  for (const [index, { head }] of candidates.entries()) {
    if (status[index] === 0) continue;
    if (status[index] === 1) refuse(head.digest, 'it does not decode');
    const name = head.digest.toString('hex');
    throw new DiffKeeperError('DK_DIGEST_MISMATCH', `a record says blob ${name}, its bytes are others`, { name });
  }
  let end = 0;
  return candidates.map(({ head }) => {
    end += head.decodedBytes;
    return data.subarray(end - head.decodedBytes, end);
  });
}
