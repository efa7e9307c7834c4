/** `serve`: a store for other machines, until interrupted. */
import { EXIT_CODES, serveStore } from '../index.js';
import type { CommandContext } from './context.js';
import { linkOf } from './link-options.js';
import { metricsAddress, parseAllow, parseListen, tellListening, untilInterrupted } from './listen-options.js';
import { storeOptions, withStore } from './store-access.js';
import { count, showBytes } from './units.js';

export async function run(context: CommandContext): Promise<number> {
  const { settings, output, logger, local, signal } = context;
  const place = parseListen(typeof local.listen === 'string' ? local.listen : '127.0.0.1:9912');
  const allowed = parseAllow(Array.isArray(local.allow) ? local.allow.map(String) : []);
  const link = await linkOf(settings);
  return withStore(context, { ...storeOptions(settings), create: true }, async (store) => {
    const server = await serveStore(store, {
      ...place,
      link,
      logger,
      ...metricsAddress(settings),
      ...(allowed && { authorize: (name: string) => allowed.get(name) }),
      onPushed: (peer, report) => {
        output.record('pushed', { peer, ...report });
        output.line(
          `${peer}: ${count(report.checkpoints, 'checkpoint')}, now #${report.sequence}, ${showBytes(report.bytes)}`,
        );
      },
    });
    tellListening(output, server, 'serving', { store: store.path });
    await untilInterrupted(signal);
    await server.close();
    return EXIT_CODES.ok;
  });
}
