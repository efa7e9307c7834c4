/** `import`: what another program left in a directory becomes a checkpoint; a BoltDB file, too. */
import { stat } from 'node:fs/promises';
import { EXIT_CODES, openCaptureSession, openStoreOrImport } from '../index.js';
import { captureLine } from './command-capture.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { captureOptions, checkpointFacts, storeOptions, withStore } from './store-access.js';

const SOURCES = ['dir', 'bolt'];

export async function run(context: CommandContext): Promise<number> {
  const { settings, local, output, logger, signal } = context;
  const from = local.from ?? 'dir';
  if (typeof from !== 'string' || !SOURCES.includes(from)) {
    throw argumentError('--from', `got "${String(from)}"; allowed: ${SOURCES.join(', ')}`);
  }
  const source = context.words[0] ?? '';
  const facts = await stat(source).catch(() => null);
  if (from === 'bolt') {
    if (!facts?.isFile()) throw argumentError('source', `${source} is no file`);
    const store = await openStoreOrImport(source, { ...storeOptions(settings), logger, signal });
    const { path } = store;
    await store.close();
    output.record('import', { from, source, store: path });
    output.line(`imported into ${path}; use --store=${source} or that path`);
    return EXIT_CODES.ok;
  }
  if (!facts?.isDirectory()) throw argumentError('source', `${source} is no directory`);
  const report = await withStore(context, { ...storeOptions(settings), create: true }, async (store) => {
    const session = await openCaptureSession(store, source, { ...captureOptions(settings), logger, signal });
    try {
      const tag = typeof local.tag === 'string' ? local.tag : `imported from ${source}`;
      return await session.capture({ tag, signal });
    } finally {
      await session.close();
    }
  });
  const { checkpoint, ...counts } = report;
  output.record('import', { from, source, ...counts, checkpoint: checkpoint && checkpointFacts(checkpoint) });
  output.line(captureLine(report));
  for (const { path, reason } of report.skipped) output.note(`left out: ${path}: ${reason}`);
  return report.skipped.some(({ kind }) => kind !== 'special') ? EXIT_CODES.partial : EXIT_CODES.ok;
}
