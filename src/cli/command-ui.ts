/** `ui`: serves a page that shows what the store holds. */
import { EXIT_CODES, serveUi } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { openToLook } from './store-access.js';

function portOf(value: unknown): number {
  const text = String(value ?? 0);
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw argumentError('--port', `got "${text}"; allowed: 0 to 65535; other addresses need --listen=HOST`);
}

export async function run(context: CommandContext): Promise<number> {
  const { local, output, signal } = context;
  const host = local.listen === undefined ? undefined : String(local.listen);
  const restoreDir = local.restoreDir === undefined ? undefined : String(local.restoreDir);
  // A store that is not there is said at once; one that is in use may be free in a moment.
  await (await openToLook(context)).close();
  const server = await serveUi({
    open: () => openToLook(context),
    port: portOf(local.port),
    ...(host === undefined ? {} : { host, remote: true }),
    ...(restoreDir === undefined ? {} : { restoreDir }),
  });
  output.record('ui', { url: server.url, port: server.port, restoreDir: restoreDir ?? null });
  output.line(server.url);
  if (!server.loopback)
    output.note(`other machines reach ${host}: whoever has this address sees all that was kept, unencrypted`);
  if (local.open !== false && output.terminal && server.loopback) server.show();
  output.note('Ctrl-C ends');
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }
  await server.close();
  return EXIT_CODES.ok;
}
