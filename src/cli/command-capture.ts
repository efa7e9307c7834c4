/** `capture`: takes what changed, once. */
import { type CaptureReport, EXIT_CODES, openCaptureSession } from '../index.js';
import type { CommandContext } from './context.js';
import { captureOptions, checkpointFacts, storeOptions, withStore } from './store-access.js';
import { assertTag } from './tag-text.js';
import { count, showBytes, showDuration } from './units.js';

export async function run(context: CommandContext): Promise<number> {
  const { settings, local, output, logger, signal } = context;
  const tag = typeof local.tag === 'string' ? { tag: local.tag } : {};
  if (tag.tag !== undefined) assertTag('--tag', tag.tag);
  const report = await withStore(context, { ...storeOptions(settings), create: true }, async (store) => {
    const options = { ...captureOptions(settings), logger, signal };
    const session = await openCaptureSession(store, settings.stateDir, options);
    try {
      return await session.capture({ ...tag, force: local.force === true, signal });
    } finally {
      await session.close();
    }
  });
  const { checkpoint, ...facts } = report;
  output.record('capture', { ...facts, checkpoint: checkpoint && checkpointFacts(checkpoint) });
  output.line(captureLine(report));
  for (const { path, reason } of report.skipped) output.note(`left out: ${path}: ${reason}`);
  // Sockets, FIFOs and devices have no content to keep: leaving them out is not half a capture.
  return report.skipped.some(({ kind }) => kind !== 'special') ? EXIT_CODES.partial : EXIT_CODES.ok;
}

/** One line about a capture. */
export function captureLine(report: CaptureReport): string {
  const { checkpoint, scanned, added, changed, removed, storedBytes, elapsedMs } = report;
  const took = `${count(scanned, 'entry')} looked at in ${showDuration(elapsedMs)}`;
  if (checkpoint === null) return `nothing changed; ${took}`;
  return `checkpoint ${checkpoint.sequence}: +${added} ~${changed} -${removed}, ${showBytes(storedBytes)} stored; ${took}`;
}
