/** `delta`: makes a delta of two files, or inspects one. */
import { stat } from 'node:fs/promises';
import {
  type BareFormat,
  type DeltaFileInfo,
  type DeltaReport,
  diffBareFile,
  diffFile,
  EXIT_CODES,
  inspectDeltaFile,
} from '../index.js';
import type { CommandContext } from './context.js';
import { diffChoices, paceOf } from './delta-choices.js';
import { argumentError } from './failure.js';
import { startProgress } from './progress.js';
import { showBytes, showDuration } from './units.js';
import { explainRefusal, input } from './whole-file.js';

function say({ output }: CommandContext, facts: object, text: string, toStdout: boolean): void {
  // The delta itself may be going to stdout: then nothing else may.
  if (!toStdout) output.record('delta', facts);
  if (toStdout) output.note(text);
  else output.line(text);
}

function show(context: CommandContext, info: DeltaFileInfo, toStdout: boolean): void {
  const share =
    info.targetBytes > 0 ? ` (${((info.deltaBytes / info.targetBytes) * 100).toFixed(2)} % of the target)` : '';
  const what = info.windows === undefined ? info.engine : `${info.windows} windows`;
  const text = `${what}: ${showBytes(info.sourceBytes)} → ${showBytes(info.targetBytes)}, delta ${showBytes(info.deltaBytes)}${share}`;
  say(context, info, text, toStdout);
}

function showBare(context: CommandContext, format: BareFormat, deltaBytes: number, toStdout: boolean): void {
  say(context, { format, deltaBytes }, `${format}: delta ${showBytes(deltaBytes)}, bare: no digests`, toStdout);
}

/** `--explain`: what was tried, what came of it, and why. */
function explain(context: CommandContext, report: DeltaReport, toStdout: boolean): void {
  const { output } = context;
  const percent =
    report.evidence === undefined ? '' : `, ${Math.round(report.evidence.inPlace * 100)} % of samples in place`;
  const lines = [`effort ${report.effort}, budget ${showDuration(report.budgetMs)}${percent}`];
  for (const { engine, bytes, ms, reason } of report.candidates) {
    const size = bytes === undefined ? 'not tried' : `${bytes} B`;
    const time = ms === undefined ? '' : showDuration(ms);
    lines.push(`  ${engine.padEnd(12)} ${size.padStart(12)} ${time.padStart(9)}  ${reason}`);
  }
  lines.push(report.why);
  if (!toStdout) output.record('explain', report);
  for (const line of lines) {
    if (toStdout) output.note(line);
    else output.line(line);
  }
}

/** The bare format that `--format` asks for; undefined for our container. */
function bareFormat(format: unknown): BareFormat | undefined {
  if (format === undefined || format === 'dkd') return undefined;
  if (format === 'bsdiff' || format === 'vcdiff' || format === 'zstd') return format;
  throw argumentError('delta', `--format: got "${String(format)}"; allowed: dkd, bsdiff, vcdiff, zstd`);
}

async function inspect(context: CommandContext, file: string): Promise<number> {
  const info = await inspectDeltaFile(file === '-' ? process.stdin : file);
  if (info.format === 'dkd') show(context, info, false);
  else showBare(context, info.format, info.deltaBytes, false);
  return EXIT_CODES.ok;
}

/** The three files of a call; `-` is stdin or stdout. */
interface Files {
  readonly source: string;
  readonly target: string;
  readonly file: string;
}

async function writeBare(context: CommandContext, format: BareFormat, { source, target, file }: Files): Promise<void> {
  const { settings, local, signal } = context;
  const { deltaBytes } = await diffBareFile(input(source), input(target), file === '-' ? process.stdout : file, {
    format,
    ...paceOf(settings, local),
    overwrite: local.force === true,
    signal,
  }).catch(explainRefusal);
  showBare(context, format, deltaBytes, file === '-');
}

/** Length of the target, where floats of a width were announced for all of it. */
async function announcedBytes(local: CommandContext['local'], target: string): Promise<number> {
  if (local.elementBytes === undefined) return 0;
  if (target === '-') throw argumentError('delta', '--element-bytes needs a target file, not stdin');
  return (await stat(target).catch(() => ({ size: 0 }))).size;
}

async function writeDelta(context: CommandContext, { source, target, file }: Files): Promise<void> {
  const { settings, local, output, signal } = context;
  let report: DeltaReport | undefined;
  const onReport = (made: DeltaReport): void => {
    report = made;
  };
  const progress = await startProgress(output, 'delta');
  const info = await diffFile(input(source), input(target), file === '-' ? process.stdout : file, {
    ...diffChoices(settings, local, await announcedBytes(local, target)),
    overwrite: local.force === true,
    signal,
    onReport,
    onProgress: progress.update,
  })
    .catch(explainRefusal)
    .finally(progress.stop);
  if (local.explain === true && report !== undefined) explain(context, report, file === '-');
  show(context, { format: 'dkd', ...info }, file === '-');
}

export async function run(context: CommandContext): Promise<number> {
  const { words, local } = context;
  if (typeof local.inspect === 'string') return inspect(context, local.inspect);
  const [source, target, file] = words;
  if (source === undefined || target === undefined || file === undefined) {
    throw argumentError('delta', 'give source, target and output, or --inspect <file>');
  }
  const format = bareFormat(local.format);
  const files = { source, target, file };
  if (format === undefined) await writeDelta(context, files);
  else await writeBare(context, format, files);
  return EXIT_CODES.ok;
}
