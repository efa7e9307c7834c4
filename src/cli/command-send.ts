/** `send`: a file, or what comes on stdin, to a receiver. */
import { basename } from 'node:path';
import { createSender, EXIT_CODES, parsePeerAddress } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { digestChoice, linkOf } from './link-options.js';
import { startProgress } from './progress.js';
import { showBytes, showDuration } from './units.js';

export async function run(context: CommandContext): Promise<number> {
  const { settings, local, words, output, signal } = context;
  const [file = '', address = ''] = words;
  const { path, host, port } = parsePeerAddress(address);
  const name = path === '' && file !== '-' ? basename(file) : path;
  if (name === '') throw argumentError('address', 'what comes on stdin needs a name: tls://HOST:PORT/NAME');
  const digest = digestChoice(local.digest);
  const link = await linkOf(settings);
  const startMs = performance.now();
  const sender = await createSender(address, { link, signal, ...digest });
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
