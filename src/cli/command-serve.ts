/** `serve`: a store for other machines, until interrupted. */
import { EXIT_CODES, type PeerRights, serveStore } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { trustOf } from './link-options.js';
import { storeOptions, withStore } from './store-access.js';
import { count, showBytes } from './units.js';

const RIGHTS: readonly PeerRights[] = ['read', 'append', 'admin'];

function isRight(text: string): text is PeerRights {
  return (RIGHTS as readonly string[]).includes(text);
}

/** `HOST:PORT`, `[HOST]:PORT`. Throws DK_ARGUMENT. */
function parseListen(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw argumentError('--listen', `got "${text}"; allowed: HOST:PORT`);
  return { host: match[1] ?? match[2] ?? '', port };
}

/** What each name may do; undefined when nobody was named. Throws DK_ARGUMENT. */
function parseAllow(values: readonly string[]): ReadonlyMap<string, PeerRights> | undefined {
  if (values.length === 0) return undefined;
  const rights = new Map<string, PeerRights>();
  for (const value of values) {
    const cut = value.lastIndexOf('=');
    const right = value.slice(cut + 1);
    if (cut < 1 || !isRight(right))
      throw argumentError('--allow', `got "${value}"; allowed: NAME=read, append or admin`);
    rights.set(value.slice(0, cut), right);
  }
  return rights;
}

export async function run(context: CommandContext): Promise<number> {
  const { settings, output, logger, local, signal } = context;
  const place = parseListen(typeof local.listen === 'string' ? local.listen : '127.0.0.1:9912');
  const allowed = parseAllow(Array.isArray(local.allow) ? local.allow.map(String) : []);
  const trust = await trustOf(settings);
  return withStore(context, { ...storeOptions(settings), create: true }, async (store) => {
    const server = await serveStore(store, {
      ...place,
      link: { trust },
      logger,
      ...(allowed && { authorize: (name: string) => allowed.get(name) }),
      onPushed: (peer, report) => {
        output.record('pushed', { peer, ...report });
        output.line(
          `${peer}: ${count(report.checkpoints, 'checkpoint')}, now #${report.sequence}, ${showBytes(report.bytes)}`,
        );
      },
    });
    output.record('listening', { host: server.host, port: server.port, store: store.path });
    output.note(`serving ${store.path} on ${server.host}:${server.port}; Ctrl-C ends`);
    if (!signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    }
    await server.close();
    return EXIT_CODES.ok;
  });
}
