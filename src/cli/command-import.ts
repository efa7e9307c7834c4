/** `import`: what another program keeps becomes checkpoints: a directory, an archive, snapshots of a backup, a BoltDB file. */
import { mkdir, stat } from 'node:fs/promises';
import * as path from 'node:path';
import {
  type CaptureReport,
  EXIT_CODES,
  openCaptureSession,
  openStoreOrImport,
  type Store,
  unpackTar,
} from '../index.js';
import { captureLine } from './command-capture.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { withPrivateDirectory } from './private-directory.js';
import { startProgress } from './progress.js';
import { captureOptions, checkpointFacts, storeOptions, withStore } from './store-access.js';
import { assertTag, cutToTag } from './tag-text.js';
import { count } from './units.js';

const SOURCES = ['dir', 'tar', 'restic', 'borg', 'bolt'] as const;
type Source = (typeof SOURCES)[number];

function isSource(value: unknown): value is Source {
  return SOURCES.some((source) => source === value);
}

export async function run(context: CommandContext): Promise<number> {
  const { local } = context;
  const from = local.from ?? 'dir';
  if (!isSource(from)) throw argumentError('--from', `got "${String(from)}"; allowed: ${SOURCES.join(', ')}`);
  const source = context.words[0] ?? '';
  const isBackup = from === 'restic' || from === 'borg';
  if (local.root !== undefined && !isBackup) throw argumentError('--root', 'goes with --from=restic and --from=borg');
  if (local.tag !== undefined && isBackup) throw argumentError('--tag', `the snapshots of ${from} have their own`);
  if (typeof local.tag === 'string') assertTag('--tag', local.tag);
  if (isBackup) return (await import('./import-backup.js')).importBackup(context, from, source);
  const facts = await stat(source).catch(() => null);
  if (from === 'bolt') {
    if (!facts?.isFile()) throw argumentError('source', `${source} is no file`);
    return importBolt(context, source);
  }
  if (from === 'tar') {
    if (source !== '-' && (!facts || facts.isDirectory())) throw argumentError('source', `${source} is no archive`);
    return withPrivateDirectory(async (directory) => {
      const unpacked = path.join(directory, 'tar');
      await mkdir(unpacked);
      await unpackTar(source, unpacked, context.signal);
      return importDirectory(context, from, unpacked);
    });
  }
  if (!facts?.isDirectory()) throw argumentError('source', `${source} is no directory`);
  return importDirectory(context, from, source);
}

async function importBolt(context: CommandContext, source: string): Promise<number> {
  const { settings, output, logger, signal } = context;
  const store = await openStoreOrImport(source, { ...storeOptions(settings), logger, signal });
  const { path: place } = store;
  await store.close();
  output.record('import', { from: 'bolt', source, store: place });
  output.line(`imported into ${place}; use --store=${source} or that path`);
  return EXIT_CODES.ok;
}

async function importDirectory(context: CommandContext, from: Source, directory: string): Promise<number> {
  const { settings, local, output } = context;
  const source = context.words[0] ?? '';
  const report = await withStore(context, { ...storeOptions(settings), create: true }, async (store) => {
    const progress = await startProgress(output, 'importing', (files) => count(Math.floor(files), 'entry'));
    const tag = typeof local.tag === 'string' ? local.tag : cutToTag(`imported from ${source}`);
    return takeTree(context, store, { directory, tag, onProgress: progress.update }).finally(progress.stop);
  });
  const { checkpoint, ...counts } = report;
  output.record('import', { from, source, ...counts, checkpoint: checkpoint && checkpointFacts(checkpoint) });
  return showTaken(context, report);
}

export interface TakeOptions {
  readonly directory: string;
  readonly tag: string;
  /** Told of entries that were looked at, and of all. */
  readonly onProgress: (done: number, total: number) => void;
}

/** Makes one checkpoint of a directory. */
export async function takeTree(context: CommandContext, store: Store, options: TakeOptions): Promise<CaptureReport> {
  const { settings, logger, signal } = context;
  const session = await openCaptureSession(store, options.directory, {
    ...captureOptions(settings),
    logger,
    signal,
    onProgress: ({ filesDone, filesTotal }) => options.onProgress(filesDone, filesTotal),
  });
  try {
    return await session.capture({ tag: options.tag, signal });
  } finally {
    await session.close();
  }
}

/** Words about one checkpoint; gives the exit code. */
export function showTaken({ output }: CommandContext, report: CaptureReport, about = ''): number {
  output.line(`${about}${captureLine(report)}`);
  for (const { path: left, reason } of report.skipped) output.note(`left out: ${left}: ${reason}`);
  return report.skipped.some(({ kind }) => kind !== 'special') ? EXIT_CODES.partial : EXIT_CODES.ok;
}
