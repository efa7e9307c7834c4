/** `export`: a checkpoint as a tar archive, a directory, or a file of the older system. */
import { once } from 'node:events';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import {
  EXIT_CODES,
  type ExportOptions,
  type ExportReport,
  exportBolt,
  exportTar,
  recover,
  type Store,
} from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { parseMoment, resolveMoment } from './moment.js';
import { startProgress } from './progress.js';
import { innerPath, withReading } from './store-access.js';
import { count, showBytes } from './units.js';

const FORMATS = ['tar', 'dir', 'v1'];

export async function run(context: CommandContext): Promise<number> {
  const { local, output, settings, signal, words } = context;
  const format = local.format ?? 'tar';
  if (typeof format !== 'string' || !FORMATS.includes(format)) {
    throw argumentError('--format', `got "${String(format)}"; allowed: ${FORMATS.join(', ')}`);
  }
  const [target = '-', ...rest] = words.filter((word): word is string => word !== undefined);
  if (target === '-' && format !== 'tar') throw argumentError('target', `--format=${format} needs a path to write to`);
  const paths = rest.map(innerPath);
  const at = parseMoment(local.at, Date.now());
  const report = await withReading(context, async (store) => {
    const progress = await startProgress(output, 'exporting');
    const options: ExportOptions = {
      signal,
      setuid: settings.setuid,
      onProgress: progress.update,
      ...(at !== undefined && { at: await resolveMoment(store, at) }),
      ...(paths.length > 0 && { paths }),
    };
    return exportAs(store, { format, target }, options).finally(progress.stop);
  });
  const { leftOut, ...facts } = report;
  for (const { path, reason } of leftOut) output.note(`left out: ${path}: ${reason}`);
  const { identityDropped } = facts;
  if (identityDropped > 0) {
    output.note(`without setuid, setgid or capabilities: ${count(identityDropped, 'file')} (--setuid keeps them)`);
  }
  // On stdout stands the archive itself.
  if (target !== '-') {
    output.record('export', { format, target, ...facts, leftOut });
    output.line(
      `checkpoint ${facts.sequence}: ${count(facts.entries, 'entry')}, ${showBytes(facts.bytes)} of content, as ${format} to ${target}`,
    );
  }
  return leftOut.length > 0 ? EXIT_CODES.partial : EXIT_CODES.ok;
}

async function exportAs(
  store: Store,
  how: { readonly format: string; readonly target: string },
  options: ExportOptions,
): Promise<ExportReport> {
  const { format, target } = how;
  if (format === 'v1') return exportBolt(store, target, options);
  if (format === 'dir') return exportDirectory(store, target, options);
  if (target === '-') return exportTar(store, toStdout, options);
  const file = await open(target, 'wx', 0o600);
  try {
    return await exportTar(store, (bytes) => toFile(file, bytes), options);
  } finally {
    await file.close();
  }
}

/** A recover into a directory of its own: nothing there is replaced or removed. */
async function exportDirectory(store: Store, target: string, options: ExportOptions): Promise<ExportReport> {
  const found = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  if (found.length > 0) throw argumentError('target', `${target} is not empty`);
  const report = await recover(store, target, options);
  const leftOut = report.damaged.map(({ path, message }) => ({ path, reason: message }));
  const { checkpoint, entries, bytes, identityDropped } = report;
  return { sequence: checkpoint.sequence, entries, bytes, writtenBytes: bytes, identityDropped, leftOut };
}

async function toStdout(bytes: Buffer): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
}

async function toFile(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}
