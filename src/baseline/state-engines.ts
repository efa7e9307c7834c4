/**
 * Table of the engines that code one segment. A new engine is one more row. The numbers are stored in messages:
 * never change, never reuse (see `docs/format-state.md`).
 */
import { DiffKeeperError } from '../core/core.js';
import { lookAt } from '../delta/delta.js';
import type { Effort, Engine, GroupDigestKind, TensorRegion } from '../engine/engine.js';
import { ByteReader, ByteWriter } from '../format/format.js';
import { copyAway } from './large-memory.js';
import { decodePages } from './page-delta.js';
import { decodeRepeated, encodeRepeated } from './repeated-bytes.js';
import type { StateEngineChoice, StateEngineName } from './state-types.js';

/** Kind of a digest that is wanted, and the values that the source's groups have for it; empty when they are not known. */
export interface KnownGroups {
  readonly kind: GroupDigestKind;
  readonly groups: Uint8Array;
}

export interface SegmentJob {
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  readonly level: number;
  readonly dictionary?: Uint8Array;
  /** The digest of the target is wanted, too. */
  readonly known?: KnownGroups;
  /** Where the target holds floats, when that is known already. */
  readonly regions?: readonly TensorRegion[];
}

export interface SegmentPatch {
  readonly source: Uint8Array;
  readonly payload: Uint8Array;
  readonly targetBytes: number;
  readonly dictionary?: Uint8Array;
  readonly known?: KnownGroups;
  /** Where the target is wanted, `targetBytes` long; an engine may make it elsewhere. */
  readonly into?: Uint8Array;
}

/** What some engines know of the target on the way. */
export interface Digested {
  readonly digest: Buffer;
  readonly groups: Buffer;
}

export interface Made {
  readonly bytes: Uint8Array;
  readonly digested?: Digested;
}

export interface StateEngine {
  readonly number: number;
  readonly name: StateEngineName;
  readonly choices: readonly StateEngineChoice[];
  /** What it reads of the source: nothing, the same range as the target, or a window around it. */
  readonly reads: 'nothing' | 'range' | 'window';
  /** Undefined when it sees nothing to do for it here. */
  encode(engine: Engine, job: SegmentJob): Promise<Made | undefined>;
  decode(engine: Engine, job: SegmentPatch): Promise<Made>;
}

function digestedOf(wanted: KnownGroups | undefined, made: Digested): { digested?: Digested } {
  return wanted === undefined ? {} : { digested: { digest: made.digest, groups: made.groups } };
}

/** Below these zstd levels: `fast`, `balanced`; else `max`. */
const BALANCED_LEVEL = 6;
const MAX_LEVEL = 15;

function effortOf(level: number): Effort {
  if (level < BALANCED_LEVEL) return 'fast';
  return level < MAX_LEVEL ? 'balanced' : 'max';
}

const raw: StateEngine = {
  number: 0,
  name: 'raw',
  choices: ['auto', 'xor', 'sparse', 'align', 'zstd', 'tensor'],
  reads: 'nothing',
  encode: async (_engine, job) => ({ bytes: job.target }),
  async decode(engine, { payload, into }) {
    if (into === undefined) return { bytes: payload };
    await copyAway(engine, into, payload);
    return { bytes: into.subarray(0, payload.length) };
  },
};

const zstd: StateEngine = {
  number: 1,
  name: 'zstd',
  choices: ['auto', 'xor', 'sparse', 'align', 'zstd', 'tensor'],
  reads: 'nothing',
  encode: async (engine, { target, level, dictionary }) => ({
    bytes: await engine.compress(target, dictionary === undefined ? { level } : { level, dictionary }),
  }),
  decode: async (engine, { payload, targetBytes, dictionary }) => ({
    bytes: await engine.decompress(payload, {
      decodedBytes: targetBytes,
      ...(dictionary === undefined ? {} : { dictionary }),
    }),
  }),
};

/** Highest zstd level: what it works on is a few kilobytes. */
const SECOND_LEVEL = 19;

/**
 * For states that repeat themselves: every block of a frame costs some ten bytes however little it says, and these
 * bytes repeat, too. Payload: varint length of the inner frame, outer frame. Made from a frame, not from the state.
 */
const zstdTwice: StateEngine = {
  number: 8,
  name: 'zstd-twice',
  choices: [],
  reads: 'nothing',
  async encode(engine, { target }) {
    const outer = await engine.compress(target, { level: SECOND_LEVEL });
    return { bytes: Buffer.concat([new ByteWriter().varint(target.length).finish(), outer]) };
  },
  async decode(engine, { payload, targetBytes }) {
    const reader = new ByteReader(payload, 'DK_CORRUPT_DELTA', 'state segment');
    const decodedBytes = reader.varint(targetBytes);
    const inner = await engine.decompress(reader.bytes(reader.left), { decodedBytes });
    return { bytes: await engine.decompress(inner, { decodedBytes: targetBytes }) };
  },
};

const repeat: StateEngine = {
  number: 9,
  name: 'repeat',
  choices: [],
  reads: 'nothing',
  async encode(engine, { target, level }) {
    const bytes = await encodeRepeated(engine, target, level);
    return bytes && { bytes };
  },
  decode: async (engine, { payload, ...room }) => ({ bytes: await decodeRepeated(engine, payload, room) }),
};

const zstdPrefix: StateEngine = {
  number: 2,
  name: 'zstd-prefix',
  choices: ['zstd'],
  reads: 'window',
  encode: async (engine, job) => ({
    bytes: await engine.compress(job.target, { level: job.level, context: job.source }),
  }),
  decode: async (engine, job) => ({
    bytes: await engine.decompress(job.payload, { decodedBytes: job.targetBytes, context: job.source }),
  }),
};

const xor: StateEngine = {
  number: 3,
  name: 'xor',
  choices: ['xor'],
  reads: 'range',
  encode: async (engine, job) => ({ bytes: await engine.xorDiff(job.source, job.target, job.level) }),
  decode: async (engine, job) => ({ bytes: await engine.xorPatch(job.source, job.payload, job.targetBytes) }),
};

const align: StateEngine = {
  number: 4,
  name: 'align',
  choices: ['auto', 'align'],
  reads: 'window',
  encode: async (engine, job) => ({ bytes: await engine.alignDiff(job.source, job.target, effortOf(job.level)) }),
  decode: async (engine, job) => ({ bytes: await engine.alignPatch(job.source, job.payload, job.targetBytes) }),
};

const sparse: StateEngine = {
  number: 6,
  name: 'sparse',
  choices: ['auto', 'sparse'],
  reads: 'range',
  async encode(engine, { source, target, level, known }) {
    const made = await engine.sparseDiff(source, target, level, known?.groups, known?.kind);
    return { bytes: made.payload, ...digestedOf(known, made) };
  },
  async decode(engine, { source, payload, targetBytes, known, into }) {
    const made = await engine.sparsePatch(source, payload, targetBytes, known?.groups, into, known?.kind);
    return { bytes: made.data, ...digestedOf(known, made) };
  },
};

const tensor: StateEngine = {
  number: 5,
  name: 'tensor',
  choices: ['auto', 'tensor'],
  reads: 'range',
  async encode(engine, { source, target, level, regions: known }) {
    const effort = effortOf(level);
    const regions = known ?? (await lookAt(engine, { source, target }, effort, true)).layout?.regions;
    return regions && { bytes: await engine.tensorDiff(source, target, effort, regions) };
  },
  decode: async (engine, job) => ({ bytes: await engine.tensorPatch(job.source, job.payload, job.targetBytes) }),
};

/** Floats of which a smaller share stayed as it was have all changed, as in a training step. */
const ALL_CHANGED = 0.05;

/**
 * Where the target holds floats if its header says so, they have all changed and stand where they stood: then neither places
 * nor searches are worth a look, and both would take longer than coding the floats.
 */
export async function changedFloats(
  engine: Engine,
  pair: { readonly source: Uint8Array; readonly target: Uint8Array },
): Promise<readonly TensorRegion[] | undefined> {
  const quick = await lookAt(engine, pair, 'fast', false);
  if (quick.layout === undefined || quick.evidence.inPlace >= ALL_CHANGED) return undefined;
  const { evidence, layout } = await lookAt(engine, pair, 'fast', true);
  return evidence.shifted ? undefined : layout?.regions;
}

/** Made by `segment-encode.ts`, which knows the hashes; decoded here. */
const pages: StateEngine = {
  number: 7,
  name: 'pages',
  choices: [],
  reads: 'range',
  encode: async () => {
    throw new DiffKeeperError('DK_UNSUPPORTED', 'pages are coded from their hashes');
  },
  decode: (engine, job) =>
    decodePages(engine, job, (number) => {
      if (number === pages.number) throw new DiffKeeperError('DK_CORRUPT_DELTA', 'pages inside pages');
      return stateEngineByNumber(number);
    }),
};

/** In the order in which they are tried: `sparse` is the fastest and tells the digest. */
export const STATE_ENGINES: readonly StateEngine[] = [
  raw,
  zstd,
  sparse,
  tensor,
  xor,
  align,
  zstdPrefix,
  zstdTwice,
  repeat,
  pages,
];
export const RAW = raw;
export const ZSTD = zstd;
export const PAGES = pages;
export const SPARSE = sparse;
export const TENSOR = tensor;
export const ZSTD_TWICE = zstdTwice;
export const REPEAT = repeat;

/** Engines that may code a delta under this choice. */
export function deltaEnginesFor(choice: StateEngineChoice): readonly StateEngine[] {
  return STATE_ENGINES.filter((engine) => engine.reads !== 'nothing' && engine.choices.includes(choice));
}

/** Throws DK_UNSUPPORTED for a number of a newer release. */
export function stateEngineByNumber(number: number): StateEngine {
  const engine = STATE_ENGINES.find((candidate) => candidate.number === number);
  if (engine !== undefined) return engine;
  throw new DiffKeeperError('DK_UNSUPPORTED', `a segment was made with engine ${number}, which this release lacks`, {
    actual: number,
  });
}
