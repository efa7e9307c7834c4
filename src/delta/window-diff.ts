/**
 * Makes a delta of files that do not fit memory. First walk: digest and sparse index of the source. Second: for every
 * window of the target, what is equal in place is a copy; else the ranges of the source that resemble it are gathered
 * and an engine codes the window against them. Two windows are in work at a time.
 */
import { DiffKeeperError, throwIfAborted } from '../core/core.js';
import type { Engine, SourceIndex } from '../engine/engine.js';
import type { ByteInput } from './byte-input.js';
import type { ByteOutput } from './byte-output.js';
import type { DiffChoices } from './diff-options.js';
import type { DeltaEngineName } from './engines.js';
import { inOrder } from './in-order.js';
import { smallestPayload } from './smallest-payload.js';
import type { SourceBytes } from './source-bytes.js';
import { SpareBuffers } from './spare-buffers.js';
import { encodeHeader, encodeRecord, type SourceRange, type WindowRecord } from './window-format.js';
import { type DeltaProgress, gatherRanges, type WindowTuning, walkSource } from './window-job.js';
import type { WindowReports } from './window-report.js';

/** Engines whose payloads decode without the source: their windows need name no ranges. */
const WITHOUT_SOURCE: ReadonlySet<string> = new Set(['raw', 'zstd'] satisfies DeltaEngineName[]);

export interface WindowDiffJob {
  readonly engine: Engine;
  readonly source: SourceBytes;
  readonly target: ByteInput;
  /** First bytes of the target, read already. */
  readonly targetStart: Uint8Array;
  readonly output: ByteOutput;
  readonly choices: DiffChoices;
  readonly tuning: WindowTuning;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: DeltaProgress | undefined;
  /** Told of every window. */
  readonly reports: WindowReports;
}

/** Facts about the delta that was written. */
export interface WindowDiffResult {
  readonly targetBytes: number;
  readonly sourceDigest: Buffer;
  readonly targetDigest: Buffer;
  readonly deltaBytes: number;
  readonly payloadBytes: number;
  readonly records: number;
}

interface TargetWindow {
  readonly memory: Buffer;
  readonly bytes: Buffer;
  readonly offset: number;
}

/** Windows that are copies side by side become one record. */
class RecordWriter {
  records = 0;
  deltaBytes = 0;
  payloadBytes = 0;
  readonly #engine: Engine;
  readonly #output: ByteOutput;
  #copy: SourceRange | undefined;

  constructor(engine: Engine, output: ByteOutput) {
    this.#engine = engine;
    this.#output = output;
  }

  async put(record: WindowRecord): Promise<void> {
    if (record.kind !== 'copy') {
      await this.#flush();
      await this.#write(record);
    } else if (this.#copy !== undefined && this.#copy.offset + this.#copy.length === record.offset) {
      this.#copy = { offset: this.#copy.offset, length: this.#copy.length + record.length };
    } else {
      await this.#flush();
      this.#copy = record;
    }
  }

  async raw(bytes: Buffer): Promise<void> {
    await this.#output.write(bytes);
    this.deltaBytes += bytes.length;
  }

  /** Writes the copy that waits for its neighbour. */
  async #flush(): Promise<void> {
    const copy = this.#copy;
    this.#copy = undefined;
    if (copy !== undefined) await this.#write({ kind: 'copy', ...copy });
  }

  async #write(record: WindowRecord): Promise<void> {
    if (record.kind === 'window') this.payloadBytes += record.payload.length;
    if (record.kind === 'end') await this.raw(encodeRecord(this.#engine, { ...record, records: this.records }));
    else await this.raw(encodeRecord(this.#engine, record));
    this.records += 1;
  }
}

/** The target, window by window. */
async function* windowsOf(job: WindowDiffJob, spare: SpareBuffers): AsyncIterable<TargetWindow> {
  let start = job.targetStart;
  for (let offset = 0; ; ) {
    throwIfAborted(job.signal);
    const memory = spare.take();
    const held = Math.min(start.length, memory.length);
    memory.set(start.subarray(0, held));
    start = start.subarray(held);
    const length = held + (held < memory.length ? await job.target.fill(memory.subarray(held)) : 0);
    if (length === 0) return;
    yield { memory, bytes: memory.subarray(0, length), offset };
    offset += length;
    if (length < memory.length) return;
  }
}

/** What all windows of one job share. */
interface Coding {
  readonly job: WindowDiffJob;
  readonly index: SourceIndex;
  readonly places: SpareBuffers;
  readonly gathered: SpareBuffers;
}

async function codeWindow({ job, index, places, gathered }: Coding, window: TargetWindow): Promise<WindowRecord> {
  const { engine, source, signal } = job;
  const { choice, level, effort } = job.choices;
  const place = places.take();
  const memory = gathered.take();
  try {
    const { bytes, offset } = window;
    const inPlace = place.subarray(0, Math.max(0, Math.min(bytes.length, source.length - offset)));
    if (inPlace.length > 0) await source.read(offset, inPlace);
    if (inPlace.length === bytes.length && inPlace.equals(bytes)) {
      job.reports.addCopy();
      return { kind: 'copy', offset, length: bytes.length };
    }
    throwIfAborted(signal);
    const pairs = await index.find(bytes, offset, inPlace, job.tuning.gatherBytes);
    const ranges: SourceRange[] = [];
    for (let i = 0; i < pairs.length; i += 2) ranges.push({ offset: pairs[i] ?? 0, length: pairs[i + 1] ?? 0 });
    throwIfAborted(signal);
    const only = ranges.length === 1 ? ranges[0] : undefined;
    const there = only !== undefined && only.offset === offset && only.length === inPlace.length;
    const context = there ? inPlace : await gatherRanges(source, ranges, memory);
    const chosen = await smallestPayload(engine, { source: context, target: bytes, level, effort }, choice, signal);
    job.reports.add(chosen.report);
    // The raw engine hands out the target itself, whose memory is used again.
    const payload = chosen.engine.name === 'raw' ? Buffer.from(chosen.payload) : chosen.payload;
    const used = WITHOUT_SOURCE.has(chosen.engine.name) ? [] : ranges;
    return { kind: 'window', targetBytes: bytes.length, engineNumber: chosen.engine.number, ranges: used, payload };
  } finally {
    places.give(place);
    gathered.give(memory);
  }
}

/** Writes the whole delta to the output. Throws DK_ABORTED, DK_IO, DK_DISK_FULL. */
export async function diffInWindows(job: WindowDiffJob): Promise<WindowDiffResult> {
  const { engine, source, target, tuning, signal, onProgress } = job;
  const { hashAlgo } = job.choices;
  const totalBytes = source.length + (target.length ?? 0);
  let doneBytes = 0;
  const advance = (bytes: number): void => {
    doneBytes += bytes;
    onProgress?.(doneBytes, Math.max(totalBytes, doneBytes));
  };
  const index = engine.createSourceIndex(source.length);
  const sourceDigest = await walkSource({ engine, source, hashAlgo, signal, index, onRead: advance });
  const writer = new RecordWriter(engine, job.output);
  const known = target.length === undefined ? {} : { targetBytes: target.length };
  await writer.raw(encodeHeader(engine, { hashAlgo, sourceBytes: source.length, sourceDigest, ...known }));
  const targets = new SpareBuffers(tuning.windowBytes);
  const coding = {
    job,
    index,
    places: new SpareBuffers(tuning.windowBytes),
    gathered: new SpareBuffers(tuning.gatherBytes),
  };
  const digest = engine.createDigest(hashAlgo);
  let targetBytes = 0;
  let digested: Promise<void> = Promise.resolve();
  await inOrder(windowsOf(job, targets), {
    ahead: 1,
    async work(window) {
      const before = digested;
      digested = before.then(() => digest.update(window.bytes));
      const [record] = await Promise.all([codeWindow(coding, window), digested]);
      return { record, window };
    },
    async take({ record, window }) {
      await writer.put(record);
      targetBytes += window.bytes.length;
      targets.give(window.memory);
      advance(window.bytes.length);
    },
  });
  if (target.length !== undefined && targetBytes !== target.length) {
    throw new DiffKeeperError('DK_IO', 'the target changed while it was read', { actual: targetBytes });
  }
  await source.checkUnchanged();
  const targetDigest = digest.finish();
  await writer.put({ kind: 'end', targetBytes, records: 0, targetDigest });
  const { deltaBytes, payloadBytes, records } = writer;
  return { targetBytes, sourceDigest, targetDigest, deltaBytes, payloadBytes, records: records - 1 };
}
