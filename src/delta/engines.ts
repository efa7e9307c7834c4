/**
 * Table of delta engines. A new engine is one more row: a stored number that is
 * never reused, a name, and the two directions. Order matters for ties:
 * the first of equals wins, so the cheapest to decode comes first. `auto` decides in `choose.ts`.
 */
import { DiffKeeperError, isDiffKeeperError } from '../core/core.js';
import type { Effort, Engine, TensorRegion } from '../engine/engine.js';

/** What the caller may ask for. */
export type DeltaChoice = 'auto' | 'align' | 'bsdiff' | 'xdelta' | 'zstd' | 'xor' | 'tensor';
/** What a delta says it was made with. */
export type DeltaEngineName = 'raw' | 'zstd' | 'zstd-prefix' | 'xor' | 'align' | 'bsdiff' | 'xdelta' | 'tensor';

export interface DeltaEngine {
  /** Stored in the container: never change, never reuse. */
  readonly number: number;
  readonly name: DeltaEngineName;
  /** The choice that asks for this engine; absent for `raw`, which is always a candidate. */
  readonly choice?: DeltaChoice;
  /** Cheap test that spares work which cannot win. */
  worthTrying(source: Uint8Array, target: Uint8Array): boolean;
  encode(engine: Engine, job: DeltaJob): Promise<Uint8Array>;
  decode(engine: Engine, job: PatchJob): Promise<Uint8Array>;
}

export interface DeltaJob {
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  /** zstd level. */
  readonly level: number;
  readonly effort: Effort;
  /** Where the target holds floats; for `tensor` alone. */
  readonly regions?: readonly TensorRegion[];
}

export interface PatchJob {
  readonly source: Uint8Array;
  readonly payload: Uint8Array;
  readonly targetBytes: number;
}

function bothThere(source: Uint8Array, target: Uint8Array): boolean {
  return source.length > 0 && target.length > 0;
}

const raw: DeltaEngine = {
  number: 0,
  name: 'raw',
  worthTrying: () => true,
  encode: async (_engine, job) => job.target,
  decode: async (_engine, job) => job.payload,
};

const xor: DeltaEngine = {
  number: 3,
  name: 'xor',
  choice: 'xor',
  worthTrying: bothThere,
  encode: (engine, job) => engine.xorDiff(job.source, job.target, job.level),
  decode: (engine, job) => engine.xorPatch(job.source, job.payload, job.targetBytes),
};

const zstd: DeltaEngine = {
  number: 1,
  name: 'zstd',
  choice: 'zstd',
  worthTrying: (_source, target) => target.length > 0,
  encode: (engine, job) => engine.compress(job.target, { level: job.level }),
  decode: (engine, job) => engine.decompress(job.payload, { decodedBytes: job.targetBytes }),
};

const zstdPrefix: DeltaEngine = {
  number: 2,
  name: 'zstd-prefix',
  choice: 'zstd',
  worthTrying: bothThere,
  encode: (engine, job) => engine.compress(job.target, { level: job.level, context: job.source }),
  decode: (engine, job) => engine.decompress(job.payload, { decodedBytes: job.targetBytes, context: job.source }),
};

const align: DeltaEngine = {
  number: 4,
  name: 'align',
  choice: 'align',
  worthTrying: bothThere,
  encode: (engine, job) => engine.alignDiff(job.source, job.target, job.effort),
  decode: (engine, job) => engine.alignPatch(job.source, job.payload, job.targetBytes),
};

/** A payload that says itself how long its target is must say what the container says. */
async function exactly(targetBytes: number, making: Promise<Buffer>): Promise<Buffer> {
  const made = await making.catch((error: unknown) => {
    if (!isDiffKeeperError(error, 'DK_LIMIT')) throw error;
    throw new DiffKeeperError('DK_CORRUPT_DELTA', `the payload makes more than ${targetBytes} bytes`, {}, error);
  });
  if (made.length === targetBytes) return made;
  throw new DiffKeeperError('DK_CORRUPT_DELTA', `the payload makes ${made.length} bytes, not ${targetBytes}`, {
    expected: targetBytes,
    actual: made.length,
  });
}

/** Small deltas of executables, at the price of sorting the whole source. */
const bsdiff: DeltaEngine = {
  number: 5,
  name: 'bsdiff',
  choice: 'bsdiff',
  worthTrying: () => true,
  encode: (engine, job) => engine.bsdiffDiff(job.source, job.target),
  decode: (engine, job) => exactly(job.targetBytes, engine.bsdiffPatch(job.source, job.payload, job.targetBytes)),
};

const xdelta: DeltaEngine = {
  number: 6,
  name: 'xdelta',
  choice: 'xdelta',
  worthTrying: () => true,
  // No checksums: the container's digests say more.
  encode: (engine, job) => engine.vcdiffDiff(job.source, job.target, false),
  decode: (engine, job) => exactly(job.targetBytes, engine.vcdiffPatch(job.source, job.payload, job.targetBytes)),
};

/** Arrays of floats. Without regions everything is bytes. */
const tensor: DeltaEngine = {
  number: 7,
  name: 'tensor',
  choice: 'tensor',
  worthTrying: (_source, target) => target.length > 0,
  encode: (engine, job) => engine.tensorDiff(job.source, job.target, job.effort, job.regions ?? []),
  decode: (engine, job) => engine.tensorPatch(job.source, job.payload, job.targetBytes),
};

/** All engines, cheapest to decode first. */
export const DELTA_ENGINES: readonly DeltaEngine[] = [raw, xor, tensor, xdelta, zstd, align, zstdPrefix, bsdiff];

/** The engine with this stored number. */
export function deltaEngineByNumber(number: number): DeltaEngine | undefined {
  return DELTA_ENGINES.find((engine) => engine.number === number);
}

/** As `deltaEngineByNumber`, for a number read from a delta. Throws DK_UNSUPPORTED. */
export function engineOfNumber(number: number): DeltaEngine {
  const engine = deltaEngineByNumber(number);
  if (engine !== undefined) return engine;
  throw new DiffKeeperError(
    'DK_UNSUPPORTED',
    `the delta was made with engine ${number}, which this release does not have`,
    { actual: number },
  );
}
