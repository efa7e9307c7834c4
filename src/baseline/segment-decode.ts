/** One segment back from its payload. */
import { DiffKeeperError } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import type { Reference } from './reference.js';
import { groupKind, segmentDigest } from './state-digest.js';
import { type Digested, stateEngineByNumber } from './state-engines.js';
import { corruptState, type StateSegment } from './state-message.js';
import type { StateDigest, StateEngineName } from './state-types.js';

const NO_BYTES = new Uint8Array(0);

async function sourceOf(segment: StateSegment, source: Reference | undefined): Promise<Uint8Array> {
  if (segment.sourceBytes === 0) return NO_BYTES;
  if (source === undefined) throw corruptState('a segment refers to a source that the message does not have');
  const { sourceOffset, sourceBytes } = segment;
  if (sourceOffset > source.stateBytes || sourceBytes > source.stateBytes - sourceOffset) {
    throw corruptState('a segment reads beyond its source');
  }
  const bytes = await source.read(sourceOffset, sourceBytes);
  if (bytes === undefined) throw new DiffKeeperError('DK_NOT_FOUND', 'the bytes of a baseline are gone');
  return bytes;
}

/** @property copy of the bytes, where it was wanted and came along */
export interface DecodedSegment extends Digested {
  readonly target: Uint8Array;
  readonly name: StateEngineName;
  readonly copy?: Buffer;
}

/** The bytes are the caller's own. Throws DK_CORRUPT_DELTA, DK_UNSUPPORTED. */
export async function decodeSegment(
  engine: Engine,
  job: {
    readonly digestKind: StateDigest;
    readonly segment: StateSegment;
    readonly source: Reference | undefined;
    readonly dictionary: Uint8Array | undefined;
    /** A copy of the bytes is wanted, too. */
    readonly copies: boolean;
    /** Where the bytes are wanted; they may be made elsewhere. */
    readonly into: Uint8Array | undefined;
  },
): Promise<DecodedSegment> {
  const { segment, dictionary } = job;
  const decoder = stateEngineByNumber(segment.engine);
  if (decoder.reads === 'nothing' && segment.sourceBytes > 0) throw corruptState('a segment reads without need');
  if (dictionary !== undefined && decoder.name !== 'zstd') throw corruptState(`${decoder.name} takes no dictionary`);
  const kind = segment.sourceBytes > 0 ? groupKind(job.digestKind) : undefined;
  const known = (): Uint8Array =>
    (kind && job.source?.groups(kind, segment.sourceOffset, segment.sourceBytes)) ?? NO_BYTES;
  const { bytes: made, digested } = await decoder.decode(engine, {
    source: await sourceOf(segment, job.source),
    payload: segment.payload,
    targetBytes: segment.targetBytes,
    ...(dictionary === undefined ? {} : { dictionary }),
    ...(job.into === undefined ? {} : { into: job.into }),
    ...(kind === undefined ? {} : { known: { kind, groups: known() } }),
  });
  if (made.length !== segment.targetBytes) throw corruptState(`a segment makes ${made.length} bytes`);
  if (digested !== undefined) return { target: made, name: decoder.name, ...digested };
  // Raw gives a view of the message, which belongs to whoever sent it here, unless it was told where to put the bytes.
  const raw = decoder.name === 'raw' && job.into === undefined;
  const { copy, ...found } = await segmentDigest(engine, job.digestKind, made, raw || job.copies);
  if (raw) return { target: copy ?? (await engine.copyBytes(made)), name: decoder.name, ...found };
  return { target: made, name: decoder.name, ...found, ...(copy === undefined ? {} : { copy }) };
}
