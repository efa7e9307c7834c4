/** Options of commands that listen for other machines. */
import type { PeerRights } from '../index.js';
import type { LocalOption } from './command-facts.js';
import { argumentError } from './failure.js';
import type { Output } from './output.js';
import type { Settings } from './settings.js';

export const LISTEN_OPTIONS: readonly LocalOption[] = [
  { flags: '--listen <address>', help: 'HOST:PORT; port 0 takes a free one (default: 127.0.0.1:9912)' },
  {
    flags: '--allow <name=right>',
    help: 'what a peer may do: read, append, admin; may be repeated; without it all that are trusted may append',
    many: true,
  },
];

const RIGHTS: readonly PeerRights[] = ['read', 'append', 'admin'];

function isRight(text: string): text is PeerRights {
  return (RIGHTS as readonly string[]).includes(text);
}

/** `HOST:PORT`, `[HOST]:PORT`. Throws DK_ARGUMENT. */
export function parseListen(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw argumentError('--listen', `got "${text}"; allowed: HOST:PORT`);
  return { host: match[1] ?? match[2] ?? '', port };
}

/** What each name may do; undefined when nobody was named. Throws DK_ARGUMENT. */
export function parseAllow(values: readonly string[]): ReadonlyMap<string, PeerRights> | undefined {
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

/** Resolves at Ctrl-C or SIGTERM. */
export async function untilInterrupted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** `--metrics-addr`, as the library takes it. */
export function metricsAddress({ metricsAddr }: Pick<Settings, 'metricsAddr'>): { readonly metricsAddress?: string } {
  return metricsAddr === undefined ? {} : { metricsAddress: metricsAddr };
}

export interface Listening {
  readonly host: string;
  readonly port: number;
  readonly metricsAddress: string | undefined;
}

/** Says where it listens. `place`: what is served, or where files go. */
export function tellListening(
  output: Output,
  { host, port, metricsAddress: metrics }: Listening,
  doing: string,
  place: Readonly<Record<string, string>>,
): void {
  output.record('listening', { host, port, ...place, ...(metrics !== undefined && { metrics }) });
  output.note(`${doing} ${Object.values(place).join()} on ${host}:${port}; Ctrl-C ends`);
  if (metrics !== undefined) output.note(`metrics and health on ${metrics}`);
}
