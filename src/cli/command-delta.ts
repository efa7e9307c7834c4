/** `delta`: makes a delta of two files, or inspects one. */
import {
  type BareFormat,
  type DeltaInfo,
  type DeltaReport,
  deltaFormat,
  diff,
  diffBare,
  EXIT_CODES,
  inspectDelta,
} from '../index.js';
import type { CommandContext } from './context.js';
import { diffChoices } from './delta-choices.js';
import { argumentError } from './failure.js';
import { showBytes, showDuration } from './units.js';
import { readWhole, writeWhole } from './whole-file.js';

function say({ output }: CommandContext, facts: object, text: string, toStdout: boolean): void {
  // The delta itself may be going to stdout: then nothing else may.
  if (!toStdout) output.record('delta', facts);
  if (toStdout) output.note(text);
  else output.line(text);
}

function show(context: CommandContext, info: DeltaInfo, toStdout: boolean): void {
  const share =
    info.targetBytes > 0 ? ` (${((info.deltaBytes / info.targetBytes) * 100).toFixed(2)} % of the target)` : '';
  const text = `${info.engine}: ${showBytes(info.sourceBytes)} → ${showBytes(info.targetBytes)}, delta ${showBytes(info.deltaBytes)}${share}`;
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
  if (toStdout) output.note(lines.join('\n'));
  else {
    output.record('explain', report);
    output.line(lines.join('\n'));
  }
}

/** The bare format that `--format` asks for; undefined for our container. */
function bareFormat(format: unknown): BareFormat | undefined {
  if (format === undefined || format === 'dkd') return undefined;
  if (format === 'bsdiff' || format === 'vcdiff') return format;
  throw argumentError('delta', `--format: got "${String(format)}"; allowed: dkd, bsdiff, vcdiff`);
}

async function inspect(context: CommandContext, file: string): Promise<number> {
  const delta = await readWhole(file, context.signal);
  const format = deltaFormat(delta);
  if (format === 'bsdiff' || format === 'vcdiff') showBare(context, format, delta.length, false);
  else show(context, await inspectDelta(delta), false);
  return EXIT_CODES.ok;
}

export async function run(context: CommandContext): Promise<number> {
  const { settings, words, local, signal } = context;
  if (typeof local.inspect === 'string') return inspect(context, local.inspect);
  const [source, target, file] = words;
  if (source === undefined || target === undefined || file === undefined) {
    throw argumentError('delta', 'give source, target and output, or --inspect <file>');
  }
  const format = bareFormat(local.format);
  const sourceBytes = await readWhole(source, signal);
  const targetBytes = await readWhole(target, signal);
  const choices = diffChoices(settings, local, targetBytes.length);
  let report: DeltaReport | undefined;
  const onReport = (made: DeltaReport): void => {
    report = made;
  };
  const delta =
    format === undefined
      ? await diff(sourceBytes, targetBytes, { ...choices, signal, onReport })
      : await diffBare(sourceBytes, targetBytes, { format, signal });
  await writeWhole(file, delta, local.force === true);
  if (local.explain === true && report !== undefined) explain(context, report, file === '-');
  if (format === undefined) show(context, await inspectDelta(delta), file === '-');
  else showBare(context, format, delta.length, file === '-');
  return EXIT_CODES.ok;
}
