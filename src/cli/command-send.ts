/** `send`: a file, or what comes on stdin, to a receiver. */
import { basename } from 'node:path';
import { createSender, EXIT_CODES, type LinkStreams, parsePeerAddress } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { trustOf } from './link-options.js';
import { startProgress } from './progress.js';
import { showBytes, showDuration } from './units.js';

/** `auto`, `8`, `4-32`. Throws DK_ARGUMENT. */
export function parseStreams(value: unknown): LinkStreams | undefined {
  if (value === undefined || value === 'auto') return undefined;
  const match = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(String(value));
  const minimum = Number(match?.[1]);
  const maximum = Number(match?.[2] ?? minimum);
  if (match === null || minimum < 1 || maximum < minimum || maximum > 256) {
    throw argumentError('--streams', `got "${String(value)}"; allowed: auto, 1 to 256, or LOW-HIGH`);
  }
  return { minimum, maximum };
}

/** Megabytes a second, as bytes. Throws DK_ARGUMENT. */
function parseRate(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const megabytes = Number(value);
  if (!(megabytes >= 0.001 && megabytes <= 1e6)) {
    throw argumentError('--rate-limit', `got "${String(value)}"; allowed: megabytes a second, 0.001 or more`);
  }
  return megabytes * 2 ** 20;
}

export async function run(context: CommandContext): Promise<number> {
  const { settings, words, local, output, signal } = context;
  const [file = '', address = ''] = words;
  const { path, host, port } = parsePeerAddress(address);
  const name = path === '' && file !== '-' ? basename(file) : path;
  if (name === '') throw argumentError('address', 'what comes on stdin needs a name: tls://HOST:PORT/NAME');
  const streams = parseStreams(local.streams);
  const rateLimit = parseRate(local.rateLimit);
  const serverName = typeof local.serverName === 'string' ? { serverName: local.serverName } : {};
  const link = {
    trust: await trustOf(settings),
    ...(streams && { streams }),
    ...(rateLimit !== undefined && { rateLimit }),
    ...serverName,
  };
  const startMs = performance.now();
  const sender = await createSender(address, { link, signal });
  const progress = await startProgress(output, 'send');
  let size = 0;
  const onProgress = (doneBytes: number, totalBytes: number): void => {
    size = totalBytes;
    progress.update(doneBytes, totalBytes);
  };
  const options = { signal, onProgress };
  try {
    const sent = file === '-' ? sender.sendStream(process.stdin, name, options) : sender.sendFile(file, name, options);
    await sent.finally(progress.stop);
  } finally {
    await sender.close();
  }
  const { sentBytes, resentBytes, reconnects } = sender.totals;
  const elapsedMs = performance.now() - startMs;
  output.record('sent', { name, host, port, size, sentBytes, resentBytes, reconnects, elapsedMs });
  output.line(`${name}: sent ${showBytes(size)} in ${showDuration(elapsedMs)}`);
  return EXIT_CODES.ok;
}
