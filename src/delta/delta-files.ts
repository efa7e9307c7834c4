/**
 * Deltas of files and streams. Small ones are handled in memory; above a threshold the work goes window by window, so
 * that memory does not grow with the files. Outputs appear whole or not at all.
 */
import type { Readable, Writable } from 'node:stream';
import { LIMITS, throwIfAborted } from '../core/core.js';
import { loadEngine } from '../engine/load.js';
import { type BareDiffOptions, type BareFormat, deltaFormat, diffBare, patchBare } from './bare.js';
import { type ByteInput, openInput, readRest, readUpTo, tooLong } from './byte-input.js';
import { type ByteOutput, openOutput } from './byte-output.js';
import { sourceMismatch } from './container-parts.js';
import { type DiffOptions, resolveDiffOptions } from './diff-options.js';
import { checkTargetBytesMax, type DeltaInfo, diff, inspectDelta, patch, TARGET_BYTES_MAX } from './in-memory.js';
import { openSource, type SourceBytes, sourceInMemory } from './source-bytes.js';
import { diffInWindows } from './window-diff.js';
import { isWindows } from './window-format.js';
import { type DeltaProgress, WINDOW_TUNING, type WindowTuning } from './window-job.js';
import { inspectWindows } from './window-memory.js';
import { patchInWindows, WindowReader } from './window-patch.js';
import { WindowReports } from './window-report.js';

/** Enough of a delta to tell its format. */
const START_BYTES = 8;
/** A stream of unknown length is held in memory up to here before windows are used. */
const STREAM_BYTES = 64 << 20;

/** A source that has to be in memory as a whole; Node 20 has no longer buffers. */
const SOURCE_BYTES_MAX = 2 ** 32;

const NOTHING = { bytes: Buffer.alloc(0), ended: false };

interface FileOptions {
  /** Replace the output when it exists. Default true; else DK_ARGUMENT. */
  readonly overwrite?: boolean;
  readonly onProgress?: DeltaProgress;
}

export interface DiffFileOptions extends DiffOptions, FileOptions {}

export interface BareDiffFileOptions extends BareDiffOptions, Pick<FileOptions, 'overwrite'> {}

export interface PatchFileOptions extends FileOptions {
  readonly signal?: AbortSignal;
  /** Longest target accepted, bytes. Default 2 GiB for a delta that is applied in memory, 2^44 for one in windows. */
  readonly targetBytesMax?: number;
}

export interface PatchFileReport {
  readonly format: 'dkd' | BareFormat;
  /** Whether the target was compared with a digest: bare formats have none. */
  readonly verified: boolean;
  readonly targetBytes: number;
}

export type DeltaFileInfo = DeltaInfo & { readonly format: 'dkd' };

/** A delta for the programs of others, of which nothing more is known. */
export interface BareFileInfo {
  readonly format: BareFormat;
  readonly deltaBytes: number;
}

/** Ends `use` with everything closed, and the output committed or gone. */
async function withOutput<T>(
  to: string | Writable,
  { overwrite = true }: FileOptions,
  use: (output: ByteOutput) => Promise<T>,
): Promise<T> {
  const output = await openOutput(to, overwrite);
  try {
    const result = await use(output);
    await output.commit();
    return result;
  } finally {
    await output.discard();
  }
}

async function withInput<T>(
  from: string | Readable,
  signal: AbortSignal | undefined,
  use: (input: ByteInput) => Promise<T>,
): Promise<T> {
  const input = await openInput(from, signal);
  try {
    return await use(input);
  } finally {
    await input.close();
  }
}

/** All of it in memory, at most 2 GiB. */
function readAll(from: string | Readable, signal: AbortSignal | undefined): Promise<Buffer> {
  return withInput(from, signal, (input) => readRest(input, Buffer.alloc(0), TARGET_BYTES_MAX));
}

/** A source is read at many places: a stream is held in memory. */
async function withSource<T>(
  from: string | Readable,
  signal: AbortSignal | undefined,
  use: (source: SourceBytes) => Promise<T>,
): Promise<T> {
  if (typeof from !== 'string') {
    return use(sourceInMemory(await readAll(from, signal)));
  }
  const source = await openSource(from);
  try {
    return await use(source);
  } finally {
    await source.close();
  }
}

async function readSource(source: SourceBytes): Promise<Buffer> {
  if (source.length > SOURCE_BYTES_MAX) throw tooLong(SOURCE_BYTES_MAX);
  const bytes = Buffer.allocUnsafeSlow(source.length);
  await source.read(0, bytes);
  await source.checkUnchanged();
  return bytes;
}

/** What `diffFile` is told, and the sizes that tests change. */
export interface DiffFileJob {
  readonly source: string | Readable;
  readonly target: string | Readable;
  readonly delta: string | Writable;
  readonly options: DiffFileOptions;
  readonly tuning: WindowTuning;
}

/** `diffFile` with sizes of choice. */
export async function diffFileTuned({ source: from, target: to, delta, options, tuning }: DiffFileJob) {
  const choices = resolveDiffOptions(options);
  const { signal, onProgress } = options;
  throwIfAborted(signal);
  return withSource(from, signal, (source) =>
    withInput(to, signal, async (target): Promise<DeltaInfo> => {
      const room = tuning.memoryBytes - source.length;
      const wanted = target.length ?? STREAM_BYTES;
      const start =
        wanted > room && target.length !== undefined
          ? NOTHING
          : await readUpTo(target, Math.max(0, Math.min(wanted, room)));
      throwIfAborted(signal);
      if (start.ended) {
        const made = await diff(await readSource(source), start.bytes, options);
        await withOutput(delta, options, (output) => output.write(made));
        onProgress?.(source.length + start.bytes.length, source.length + start.bytes.length);
        return inspectDelta(made);
      }
      const engine = loadEngine();
      const reports = new WindowReports();
      const made = await withOutput(delta, options, (output) =>
        diffInWindows({
          engine,
          source,
          target,
          targetStart: start.bytes,
          output,
          choices,
          tuning,
          signal,
          onProgress,
          reports,
        }),
      );
      options.onReport?.(reports.report(choices.effort));
      return {
        engine: 'windows',
        hashAlgo: choices.hashAlgo,
        sourceBytes: source.length,
        targetBytes: made.targetBytes,
        sourceDigest: made.sourceDigest.toString('hex'),
        targetDigest: made.targetDigest.toString('hex'),
        payloadBytes: made.payloadBytes,
        deltaBytes: made.deltaBytes,
        windows: made.records,
      };
    }),
  );
}

/**
 * Writes a delta of two files of any size. The target may be a stream of bytes, and the delta may go to one (which is
 * not ended); a source that is a stream is held in memory. A delta file appears whole or not at all. Throws
 * DK_NOT_FOUND, DK_IO (also: a file changed meanwhile), DK_DISK_FULL, DK_ARGUMENT, DK_ABORTED.
 */
export async function diffFile(
  source: string | Readable,
  target: string | Readable,
  delta: string | Writable,
  options: DiffFileOptions = {},
): Promise<DeltaInfo> {
  return diffFileTuned({ source, target, delta, options, tuning: WINDOW_TUNING });
}

/**
 * Writes a bare delta of two files, or streams, each at most 2 GiB, which are held in memory. A file appears whole or not at
 * all. Throws as `diffBare`; DK_NOT_FOUND, DK_LIMIT, DK_ARGUMENT (the file exists and `overwrite` is false), DK_DISK_FULL, DK_IO.
 */
export async function diffBareFile(
  source: string | Readable,
  target: string | Readable,
  delta: string | Writable,
  options: BareDiffFileOptions,
): Promise<BareFileInfo> {
  const { format, signal } = options;
  const made = await diffBare(await readAll(source, signal), await readAll(target, signal), options);
  await withOutput(delta, options, (output) => output.write(made));
  return { format, deltaBytes: made.length };
}

/**
 * Applies a delta of any format to a file of any size. A target file appears whole and verified or not at all; to a
 * stream, bytes go before the last of them are verified. Throws as `patch` and `patchBare`, and DK_NOT_FOUND, DK_IO,
 * DK_DISK_FULL, DK_ARGUMENT.
 */
export async function patchFile(
  source: string | Readable,
  delta: string | Readable,
  target: string | Writable,
  options: PatchFileOptions = {},
): Promise<PatchFileReport> {
  const { signal, targetBytesMax, onProgress } = options;
  if (targetBytesMax !== undefined) checkTargetBytesMax(targetBytesMax);
  throwIfAborted(signal);
  return withInput(delta, signal, (input) =>
    withSource(source, signal, async (from): Promise<PatchFileReport> => {
      const { bytes: start } = await readUpTo(input, START_BYTES);
      if (isWindows(start)) {
        const engine = loadEngine();
        const reader = await WindowReader.open(engine, input, start);
        const bytesMax = targetBytesMax ?? LIMITS.fileBytes;
        const targetBytes = await withOutput(target, options, (output) =>
          patchInWindows({ engine, source: from, reader, output, targetBytesMax: bytesMax, signal, onProgress }),
        );
        return { format: 'dkd', verified: true, targetBytes };
      }
      const whole = await readRest(input, start, TARGET_BYTES_MAX);
      const format = deltaFormat(whole) ?? 'dkd';
      if (format === 'dkd') {
        // Before a source of any length is read for nothing.
        const info = await inspectDelta(whole);
        if (info.sourceBytes !== from.length) throw sourceMismatch(info, from.length);
      }
      const apply = format === 'dkd' ? patch : patchBare;
      const limits = {
        ...(signal === undefined ? {} : { signal }),
        targetBytesMax: targetBytesMax ?? TARGET_BYTES_MAX,
      };
      const made = await apply(await readSource(from), whole, limits);
      await withOutput(target, options, (output) => output.write(made));
      onProgress?.(from.length + made.length, from.length + made.length);
      return { format, verified: format === 'dkd', targetBytes: made.length };
    }),
  );
}

/** What a delta of any size and format says about itself; decodes nothing. Throws as `inspectDelta`, and DK_NOT_FOUND, DK_IO. */
export async function inspectDeltaFile(delta: string | Readable): Promise<DeltaFileInfo | BareFileInfo> {
  return withInput(delta, undefined, async (input) => {
    const { bytes: start } = await readUpTo(input, START_BYTES);
    if (isWindows(start)) return { format: 'dkd', ...(await inspectWindows(input, start)) };
    const format = deltaFormat(start);
    const bare = format !== undefined && format !== 'dkd';
    if (bare && input.length !== undefined) return { format, deltaBytes: input.length };
    const whole = await readRest(input, start, TARGET_BYTES_MAX);
    if (bare) return { format, deltaBytes: whole.length };
    return { format: 'dkd', ...(await inspectDelta(whole)) };
  });
}
