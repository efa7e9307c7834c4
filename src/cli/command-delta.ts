/** `delta`: makes a delta of two files, or inspects one. */
import { type DeltaInfo, diff, EXIT_CODES, inspectDelta } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { showBytes } from './units.js';
import { readWhole, writeWhole } from './whole-file.js';

function show({ output }: CommandContext, info: DeltaInfo, toStdout: boolean): void {
  // The delta itself may be going to stdout: then nothing else may.
  if (!toStdout) output.record('delta', info);
  const share =
    info.targetBytes > 0 ? ` (${((info.deltaBytes / info.targetBytes) * 100).toFixed(2)} % of the target)` : '';
  const text = `${info.engine}: ${showBytes(info.sourceBytes)} → ${showBytes(info.targetBytes)}, delta ${showBytes(info.deltaBytes)}${share}`;
  if (toStdout) output.note(text);
  else output.line(text);
}

export async function run(context: CommandContext): Promise<number> {
  const { settings, words, local, signal } = context;
  if (typeof local.inspect === 'string') {
    show(context, await inspectDelta(await readWhole(local.inspect, signal)), false);
    return EXIT_CODES.ok;
  }
  const [source, target, file] = words;
  if (source === undefined || target === undefined || file === undefined) {
    throw argumentError('delta', 'give source, target and output, or --inspect <file>');
  }
  const sourceBytes = await readWhole(source, signal);
  const targetBytes = await readWhole(target, signal);
  const { diffLibrary: engine, level, hashAlgo } = settings;
  const delta = await diff(sourceBytes, targetBytes, { engine, level, hashAlgo, signal });
  await writeWhole(file, delta, local.force === true);
  show(context, await inspectDelta(delta), file === '-');
  return EXIT_CODES.ok;
}
