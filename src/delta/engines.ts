/**
 * Table of delta engines. A new engine is one more row: a stored number that is
 * never reused, a name, and the two directions. Order matters for ties in
 * `auto`: the first of equals wins, so the cheapest to decode comes first.
 */
import { DiffKeeperError, isDiffKeeperError } from '../core/core.js';
import type { Effort, Engine } from '../engine/engine.js';

/** What the caller may ask for. */
export type DeltaChoice = 'auto' | 'align' | 'bsdiff' | 'xdelta' | 'zstd' | 'xor';
/** What a delta says it was made with. */
export type DeltaEngineName = 'raw' | 'zstd' | 'zstd-prefix' | 'xor' | 'align' | 'bsdiff' | 'xdelta';

export interface DeltaEngine {
  /** Stored in the container: never change, never reuse. */
  readonly number: number;
  readonly name: DeltaEngineName;
  /** Choices under which this engine is a candidate. */
  readonly choices: readonly DeltaChoice[];
  /** Cheap test that spares work which cannot win. */
  worthTrying(source: Uint8Array, target: Uint8Array, choice: DeltaChoice): boolean;
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

/** Above this many bytes `auto` does not run engines side by side whose result `align` reaches by itself. */
const COMPARED_BYTES = 256 << 10;
const SAMPLES = 64;
const SAMPLE_BYTES = 64;
/** Below these zstd levels: `fast`, `balanced`; else `max`. */
const BALANCED_LEVEL = 6;
const MAX_LEVEL = 15;

/** The effort that goes with a zstd level. */
export function effortOfLevel(level: number): Effort {
  if (level < BALANCED_LEVEL) return 'fast';
  return level < MAX_LEVEL ? 'balanced' : 'max';
}

function bothThere(source: Uint8Array, target: Uint8Array): boolean {
  return source.length > 0 && target.length > 0;
}

/** Whether `auto` may try an engine beside `align`. */
function mayCompare(target: Uint8Array, choice: DeltaChoice): boolean {
  return choice !== 'auto' || target.length <= COMPARED_BYTES;
}

/** Whether most of a few samples are equal at the same offset. */
function mostlyInPlace(source: Uint8Array, target: Uint8Array): boolean {
  const common = Math.min(source.length, target.length);
  const step = Math.max(SAMPLE_BYTES, Math.floor(common / SAMPLES));
  let equal = 0;
  let looked = 0;
  for (let at = 0; at + SAMPLE_BYTES <= common; at += step) {
    const sample = target.subarray(at, at + SAMPLE_BYTES);
    if (Buffer.compare(sample, source.subarray(at, at + SAMPLE_BYTES)) === 0) equal += 1;
    looked += 1;
  }
  return equal * 2 > looked;
}

const raw: DeltaEngine = {
  number: 0,
  name: 'raw',
  // Always a candidate: whatever was asked for, a delta is never larger than the target plus its header.
  choices: ['auto', 'align', 'bsdiff', 'xdelta', 'zstd', 'xor'],
  worthTrying: () => true,
  encode: async (_engine, job) => job.target,
  decode: async (_engine, job) => job.payload,
};

const xor: DeltaEngine = {
  number: 3,
  name: 'xor',
  choices: ['auto', 'xor'],
  worthTrying: (source, target, choice) =>
    bothThere(source, target) && (mayCompare(target, choice) || mostlyInPlace(source, target)),
  encode: (engine, job) => engine.xorDiff(job.source, job.target, job.level),
  decode: (engine, job) => engine.xorPatch(job.source, job.payload, job.targetBytes),
};

const zstd: DeltaEngine = {
  number: 1,
  name: 'zstd',
  choices: ['auto', 'zstd'],
  worthTrying: (source, target, choice) => target.length > 0 && (source.length === 0 || mayCompare(target, choice)),
  encode: (engine, job) => engine.compress(job.target, { level: job.level }),
  decode: (engine, job) => engine.decompress(job.payload, { decodedBytes: job.targetBytes }),
};

const zstdPrefix: DeltaEngine = {
  number: 2,
  name: 'zstd-prefix',
  choices: ['auto', 'zstd'],
  worthTrying: (source, target, choice) => bothThere(source, target) && mayCompare(target, choice),
  encode: (engine, job) => engine.compress(job.target, { level: job.level, context: job.source }),
  decode: (engine, job) => engine.decompress(job.payload, { decodedBytes: job.targetBytes, context: job.source }),
};

const align: DeltaEngine = {
  number: 4,
  name: 'align',
  choices: ['auto', 'align'],
  worthTrying: bothThere,
  encode: (engine, job) => engine.alignDiff(job.source, job.target, effortOfLevel(job.level)),
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

/** Small deltas of executables, at the price of sorting the whole source: only when asked for. */
const bsdiff: DeltaEngine = {
  number: 5,
  name: 'bsdiff',
  choices: ['bsdiff'],
  worthTrying: () => true,
  encode: (engine, job) => engine.bsdiffDiff(job.source, job.target),
  decode: (engine, job) => exactly(job.targetBytes, engine.bsdiffPatch(job.source, job.payload, job.targetBytes)),
};

const xdelta: DeltaEngine = {
  number: 6,
  name: 'xdelta',
  choices: ['xdelta'],
  worthTrying: () => true,
  // No checksums: the container's digests say more.
  encode: (engine, job) => engine.vcdiffDiff(job.source, job.target, false),
  decode: (engine, job) => exactly(job.targetBytes, engine.vcdiffPatch(job.source, job.payload, job.targetBytes)),
};

/** All engines, cheapest to decode first. */
export const DELTA_ENGINES: readonly DeltaEngine[] = [raw, xor, xdelta, zstd, align, zstdPrefix, bsdiff];

/** The engine with this stored number. */
export function deltaEngineByNumber(number: number): DeltaEngine | undefined {
  return DELTA_ENGINES.find((engine) => engine.number === number);
}
