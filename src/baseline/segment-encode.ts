/** Codes one segment: picks the engine by evidence from the bytes, never makes it larger than raw. */
import type { Engine, GroupDigestKind, TensorRegion } from '../engine/engine.js';
import { looksRandom, mostlyInPlace } from './byte-evidence.js';
import { changedRanges, encodePages, PAGE_BYTES, PAGE_HASH_BYTES } from './page-delta.js';
import {
  changedFloats,
  type Digested,
  deltaEnginesFor,
  PAGES,
  RAW,
  REPEAT,
  type StateEngine,
  TENSOR,
  ZSTD,
  ZSTD_TWICE,
} from './state-engines.js';
import { MARGIN_BYTES } from './state-message.js';
import type { StateEngineChoice } from './state-types.js';

/** Source bytes around a segment; undefined when they are kept nowhere. */
export interface SourceBytes {
  readonly stateBytes: number;
  read(offset: number, length: number): Promise<Uint8Array | undefined>;
  /** Values of the groups from here on; empty when they are not known. */
  groups(kind: GroupDigestKind, offset: number, length: number): Uint8Array;
  /** Seeded hashes of all its pages, where nothing else is in memory. */
  readonly pages?: Buffer;
}

export interface SegmentTask {
  readonly target: Uint8Array;
  /** Of the segment in the state. */
  readonly offset: number;
  readonly segmentBytes: number;
  readonly source: SourceBytes | undefined;
  readonly choice: StateEngineChoice;
  readonly level: number;
  /** The level where the source has no part. */
  readonly aloneLevel: number;
  /** A delta that saves less than this factor is compared with the segment compressed alone. */
  readonly minRatio: number;
  readonly dictionary: { readonly id: number; readonly bytes: Uint8Array } | undefined;
  /** The digest of the target is wanted, of this kind, if it comes along. */
  readonly digested: GroupDigestKind | undefined;
  /** Seed of the page hashes, 16 bytes. */
  readonly pageSeed: Buffer;
  /** Pass the bytes through. */
  readonly plain: boolean;
}

export interface CodedSegment {
  readonly engine: StateEngine;
  readonly payload: Uint8Array;
  readonly sourceOffset: number;
  readonly sourceBytes: number;
  readonly dictionaryId: number;
  /** Work that was not begun because the bytes look like noise. */
  readonly skipped: boolean;
  /** The target's, where the winner or another that was tried knew it. */
  readonly digested?: Digested;
}

/** A dictionary tells nothing new about more bytes than this. */
const DICTIONARY_TARGET_BYTES = 256 << 10;
/** What naming a source costs in a message. A state that gains no more than this is better off on its own. */
const SOURCE_BYTES = 48;
/** A state that shrinks more than this repeats itself, and so does its frame. */
const REPEATS = 256;
/** A delta this many times smaller than its segment is not worth a second opinion. */
const GOOD_RATIO = 50;

const NO_BYTES = new Uint8Array(0);

/** Range of the source that an engine reads for the target's range. */
export function sourceRange(
  engine: StateEngine,
  task: { readonly offset: number; readonly targetBytes: number; readonly sourceBytes: number },
): { readonly offset: number; readonly length: number } {
  const margin = engine.reads === 'window' ? MARGIN_BYTES : 0;
  const start = Math.min(task.sourceBytes, Math.max(0, task.offset - margin));
  const end = Math.min(task.sourceBytes, task.offset + task.targetBytes + margin);
  return { offset: start, length: end - start };
}

interface Candidate extends CodedSegment {
  readonly source?: Uint8Array;
}

async function tryDelta(
  engine: Engine,
  candidate: StateEngine,
  task: SegmentTask,
  regions?: readonly TensorRegion[],
): Promise<Candidate | undefined> {
  if (task.source === undefined) return undefined;
  const range = sourceRange(candidate, {
    offset: task.offset,
    targetBytes: task.target.length,
    sourceBytes: task.source.stateBytes,
  });
  if (range.length === 0) return undefined;
  const source = await task.source.read(range.offset, range.length);
  if (source === undefined) return undefined;
  const coded = await candidate.encode(engine, {
    source,
    target: task.target,
    level: task.level,
    ...(task.digested === undefined
      ? {}
      : { known: { kind: task.digested, groups: task.source.groups(task.digested, range.offset, range.length) } }),
    ...(regions === undefined ? {} : { regions }),
  });
  if (coded === undefined) return undefined;
  const { bytes: payload, digested } = coded;
  const { offset: sourceOffset, length: sourceBytes } = range;
  const made = { engine: candidate, payload, sourceOffset, sourceBytes, dictionaryId: 0, skipped: false, source };
  return digested === undefined ? made : { ...made, digested };
}

async function alone(engine: Engine, task: SegmentTask): Promise<CodedSegment> {
  const plain = { engine: RAW, payload: task.target, sourceOffset: 0, sourceBytes: 0, dictionaryId: 0 };
  if (task.target.length === 0 || task.plain) return { ...plain, skipped: false };
  if (await looksRandom(task.target)) return { ...plain, skipped: true };
  const repeated = await REPEAT.encode(engine, { source: NO_BYTES, target: task.target, level: task.aloneLevel });
  if (repeated !== undefined) return { ...plain, engine: REPEAT, payload: repeated.bytes, skipped: false };
  const dictionary = task.target.length <= DICTIONARY_TARGET_BYTES ? task.dictionary : undefined;
  const made = await ZSTD.encode(engine, {
    source: task.target,
    target: task.target,
    level: task.aloneLevel,
    ...(dictionary === undefined ? {} : { dictionary: dictionary.bytes }),
  });
  if (made === undefined || made.bytes.length >= task.target.length) return { ...plain, skipped: false };
  const twice =
    dictionary === undefined && made.bytes.length * REPEATS < task.target.length
      ? await ZSTD_TWICE.encode(engine, { source: task.target, target: made.bytes, level: task.aloneLevel })
      : undefined;
  if (twice !== undefined && twice.bytes.length < made.bytes.length) {
    return { ...plain, engine: ZSTD_TWICE, payload: twice.bytes, skipped: false };
  }
  return { ...plain, engine: ZSTD, payload: made.bytes, dictionaryId: dictionary?.id ?? 0, skipped: false };
}

async function pagesOrAlone(engine: Engine, task: SegmentTask, known: Buffer): Promise<CodedSegment> {
  const { target, offset, source, level } = task;
  const hashes = await engine.pageHashes(target, task.pageSeed);
  const ownPages = known.subarray((offset / PAGE_BYTES) * PAGE_HASH_BYTES);
  const ranges = changedRanges(hashes, ownPages, target.length);
  const sourceBytes = Math.max(0, Math.min(source?.stateBytes ?? 0, offset + target.length) - offset);
  const payload = await encodePages(engine, {
    target,
    ranges,
    level,
    readSource: async (start, length) => {
      const bytes = Math.min(length, sourceBytes - start);
      return bytes > 0 ? source?.read(offset + start, bytes) : new Uint8Array(0);
    },
    withSource: deltaEnginesFor(task.choice),
    alone: [RAW, ZSTD],
  });
  const sourceOffset = sourceBytes === 0 ? 0 : offset;
  const paged = { engine: PAGES, payload, sourceOffset, sourceBytes, dictionaryId: 0, skipped: false };
  if (sourceBytes > 0 && payload.length * task.minRatio <= target.length) return paged;
  const single = await alone(engine, task);
  return sourceBytes > 0 && payload.length + SOURCE_BYTES < single.payload.length ? paged : single;
}

/** A delta of floats that have all changed; undefined where there are none, or nothing tells of them at once. */
async function tryFloats(engine: Engine, task: SegmentTask): Promise<Candidate | undefined> {
  if (task.choice !== 'auto' || task.source === undefined) return undefined;
  const { offset, length } = sourceRange(TENSOR, {
    offset: task.offset,
    targetBytes: task.target.length,
    sourceBytes: task.source.stateBytes,
  });
  const source = length === 0 ? undefined : await task.source.read(offset, length);
  const regions = source && (await changedFloats(engine, { source, target: task.target }));
  return regions && tryDelta(engine, TENSOR, task, regions);
}

/** Whether no other engine needs to be tried after this one. @param delta the smallest so far; its source may be empty */
export function isSettled(
  choice: StateEngineChoice,
  engine: StateEngine,
  delta: { readonly source: Uint8Array; readonly target: Uint8Array; readonly payload: Uint8Array },
): boolean {
  if (delta.payload.length * GOOD_RATIO <= delta.target.length) return true;
  if (choice !== 'auto') return deltaEnginesFor(choice).at(-1) === engine;
  // Bytes that mostly stay where they are gain nothing from a search for where they went.
  return engine.reads === 'range' && mostlyInPlace(delta.source, delta.target);
}

/** The smallest of what was worth trying. */
export async function encodeSegment(engine: Engine, task: SegmentTask): Promise<CodedSegment> {
  if (task.source?.pages !== undefined && task.target.length > 0) return pagesOrAlone(engine, task, task.source.pages);
  let best: Candidate | undefined;
  let digested: Digested | undefined;
  const target = task.target.length;
  if (task.source !== undefined && target > 0) {
    best = await tryFloats(engine, task);
    for (const candidate of best === undefined ? deltaEnginesFor(task.choice) : []) {
      const made = await tryDelta(engine, candidate, task);
      if (made === undefined) continue;
      digested ??= made.digested;
      if (best === undefined || made.payload.length < best.payload.length) best = made;
      const { source = NO_BYTES } = made;
      if (isSettled(task.choice, candidate, { source, target: task.target, payload: best.payload })) break;
    }
  }
  const known = digested === undefined ? {} : { digested };
  if (best !== undefined && best.payload.length * task.minRatio <= target) return { ...best, ...known };
  const single = await alone(engine, task);
  return best !== undefined && best.payload.length + SOURCE_BYTES < single.payload.length
    ? { ...best, ...known }
    : { ...single, ...known };
}
