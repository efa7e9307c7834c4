/** Where a receiver listens, and under which name what is sent arrives there. */
import { DiffKeeperError } from '../core/core.js';
import type { Trust } from './types.js';

const DEFAULT_PORT = 9912;

export interface PeerAddress {
  readonly host: string;
  readonly port: number;
  /** False: without protection, on this machine only. */
  readonly secure: boolean;
  /** What follows the port, decoded; empty when nothing does. */
  readonly path: string;
}

/** `tls://HOST[:PORT][/NAME]`, or `tcp://` without protection; port 9912 by default. Throws DK_CONFIG. */
export function parsePeerAddress(text: string): PeerAddress {
  const match = /^(tls|tcp):\/\/(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?(?:\/(.*))?$/.exec(text);
  const port = Number(match?.[4] ?? DEFAULT_PORT);
  if (match === null || port < 1 || port > 65_535) {
    throw new DiffKeeperError(
      'DK_CONFIG',
      `address "${text}": expected tls://HOST:PORT/NAME (tcp:// on this machine)`,
      {
        name: 'address',
        actual: text,
      },
    );
  }
  return { host: match[2] ?? match[3] ?? '', port, secure: match[1] === 'tls', path: decoded(match[5] ?? '') };
}

/** The name and the key that this side shows. Throws DK_CONFIG unless there is exactly one: which would it be? */
export function onlyKey(keys: ReadonlyMap<string, Buffer>): readonly [string, Buffer] {
  const [first, ...others] = keys;
  if (first !== undefined && others.length === 0) return first;
  const message = `who connects has exactly one key, not ${keys.size}`;
  throw new DiffKeeperError('DK_CONFIG', message, { name: 'trust', actual: keys.size });
}

/** Throws DK_CONFIG when the address and the trust do not fit, or there is not exactly one key. */
export function checkPeerTrust(url: string, { secure }: Pick<PeerAddress, 'secure'>, trust: Trust): void {
  if ('keys' in trust) onlyKey(trust.keys);
  if (secure !== 'plaintext' in trust) return;
  const what = secure ? 'needs certificates or a key' : 'is plaintext, which has to be asked for';
  throw new DiffKeeperError('DK_CONFIG', `${url} ${what}`, { name: 'trust' });
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
