/**
 * Table of delta engines. A new engine is one more row: a stored number that is
 * never reused, a name, and the two directions. Order matters for ties in
 * `auto`: the first of equals wins, so the cheapest to decode comes first.
 */
import type { Engine } from '../engine/engine.js';

/** What the caller may ask for. */
export type DeltaChoice = 'auto' | 'zstd' | 'xor';
/** What a delta says it was made with. */
export type DeltaEngineName = 'raw' | 'zstd' | 'zstd-prefix' | 'xor';

export interface DeltaEngine {
  /** Stored in the container: never change, never reuse. */
  readonly number: number;
  readonly name: DeltaEngineName;
  /** Choices under which this engine is a candidate. */
  readonly choices: readonly DeltaChoice[];
  /** Cheap test that spares work which cannot win. */
  worthTrying(source: Uint8Array, target: Uint8Array): boolean;
  encode(engine: Engine, job: DeltaJob): Promise<Uint8Array>;
  decode(engine: Engine, job: PatchJob): Promise<Uint8Array>;
}

export interface DeltaJob {
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  readonly level: number;
}

export interface PatchJob {
  readonly source: Uint8Array;
  readonly payload: Uint8Array;
  readonly targetBytes: number;
}

const raw: DeltaEngine = {
  number: 0,
  name: 'raw',
  // Always a candidate: whatever was asked for, a delta is never larger than the target plus its header.
  choices: ['auto', 'zstd', 'xor'],
  worthTrying: () => true,
  encode: async (_engine, job) => job.target,
  decode: async (_engine, job) => job.payload,
};

const xor: DeltaEngine = {
  number: 3,
  name: 'xor',
  choices: ['auto', 'xor'],
  worthTrying: (source, target) => source.length > 0 && target.length > 0,
  encode: (engine, job) => engine.xorDiff(job.source, job.target, job.level),
  decode: (engine, job) => engine.xorPatch(job.source, job.payload, job.targetBytes),
};

const zstd: DeltaEngine = {
  number: 1,
  name: 'zstd',
  choices: ['auto', 'zstd'],
  worthTrying: (_source, target) => target.length > 0,
  encode: (engine, job) => engine.compress(job.target, { level: job.level }),
  decode: (engine, job) => engine.decompress(job.payload, { decodedBytes: job.targetBytes }),
};

const zstdPrefix: DeltaEngine = {
  number: 2,
  name: 'zstd-prefix',
  choices: ['auto', 'zstd'],
  worthTrying: (source, target) => source.length > 0 && target.length > 0,
  encode: (engine, job) => engine.compress(job.target, { level: job.level, context: job.source }),
  decode: (engine, job) => engine.decompress(job.payload, { decodedBytes: job.targetBytes, context: job.source }),
};

/** All engines, cheapest to decode first. */
export const DELTA_ENGINES: readonly DeltaEngine[] = [raw, xor, zstd, zstdPrefix];

/** The engine with this stored number. */
export function deltaEngineByNumber(number: number): DeltaEngine | undefined {
  return DELTA_ENGINES.find((engine) => engine.number === number);
}
