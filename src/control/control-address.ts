/** Where control interfaces listen. */
import * as path from 'node:path';
import { DiffKeeperError, SOCKET_PATH_MAX } from '../core/core.js';

export type ControlAddress =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Name of the socket in the store. */
const SOCKET_NAME = 'control.sock';

/** The socket in a store; undefined when its path would be too long for one. */
export function storeSocket(storePath: string): ControlAddress | undefined {
  const place = path.join(path.resolve(storePath), SOCKET_NAME);
  return Buffer.byteLength(place) > SOCKET_PATH_MAX ? undefined : { kind: 'socket', path: place };
}

function bad(text: string, reason: string): DiffKeeperError {
  return new DiffKeeperError('DK_CONFIG', `control address "${text}": ${reason}`, { name: 'control', actual: text });
}

/** `HOST:PORT`, `[HOST]:PORT`; port 0 takes a free one. Throws DK_CONFIG. */
export function parseHostPort(text: string): ControlAddress & { readonly kind: 'tcp' } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([\w.-]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw bad(text, 'expected HOST:PORT');
  return { kind: 'tcp', host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

/** `unix:PATH`, or `HOST:PORT` of any interface: nothing can be ordered there. Throws DK_CONFIG. */
export function parseMetricsAddress(text: string): ControlAddress {
  if (!text.startsWith('unix:')) return parseHostPort(text);
  const place = path.resolve(text.slice(5));
  if (Buffer.byteLength(place) > SOCKET_PATH_MAX) throw bad(text, `longer than ${SOCKET_PATH_MAX} bytes`);
  return { kind: 'socket', path: place };
}

/** `unix:PATH`, or `HOST:PORT` on a loopback address: whoever reaches it may ask for checkpoints. Throws DK_CONFIG. */
export function parseControl(text: string): ControlAddress {
  const address = parseMetricsAddress(text);
  if (address.kind === 'tcp' && !isLoopback(address.host))
    throw bad(text, 'only loopback addresses; --metrics-addr can be reached from elsewhere');
  return address;
}

/** Whether a host can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
