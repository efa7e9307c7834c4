/** Where a store is served. */
import { DiffKeeperError } from '../core/core.js';

export const DEFAULT_PORT = 9912;

export interface StoreAddress {
  readonly host: string;
  readonly port: number;
  /** False: without protection, on this machine only. */
  readonly secure: boolean;
}

/** `tls://HOST[:PORT]`, or `tcp://HOST[:PORT]` without protection; port 9912 by default. Throws DK_CONFIG. */
export function parseAddress(text: string): StoreAddress {
  const match = /^(tls|tcp):\/\/(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?\/?$/.exec(text);
  const port = Number(match?.[4] ?? DEFAULT_PORT);
  if (match === null || port < 1 || port > 65_535) {
    throw new DiffKeeperError('DK_CONFIG', `address "${text}": expected tls://HOST:PORT (tcp:// on this machine)`, {
      name: 'address',
      actual: text,
    });
  }
  return { host: match[2] ?? match[3] ?? '', port, secure: match[1] === 'tls' };
}
