/**
 * Sockets in a directory of ours, for processes of the same user: a mode of 0600 keeps others out, because connecting
 * takes the right to write. Node's module is loaded by who needs it, see `lazy-builtins.ts`.
 */
import { chmod, type FileHandle, mkdtemp, open, rename, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { systemCode } from './errors.js';

/** Longest path of a UNIX socket that Linux takes, bytes. */
export const SOCKET_PATH_MAX = 107;
/** What is asked for before the other side must have said something, ms. */
const CONNECT_MS = 5000;

const net = () => process.getBuiltinModule('node:net');
type Net = ReturnType<typeof net>;
export type LocalSocket = InstanceType<Net['Socket']>;

/** Descriptor of a connection by a UNIX socket; -1 of any other one. Of Node's own parts, not documented but always there. */
export function localDescriptor(socket: LocalSocket): number {
  const { _handle: handle } = socket as LocalSocket & { readonly _handle?: { readonly fd?: number } | null };
  return socket.remoteAddress === undefined ? (handle?.fd ?? -1) : -1;
}

export interface LocalListener {
  /** Ends all connections and takes the socket away. */
  close(): Promise<void>;
}

/** A name by which a socket can be bound and reached although its path is too long for one. */
async function shortName(directory: string, name: string): Promise<{ name: string; hold: FileHandle | null }> {
  const full = path.join(directory, name);
  if (Buffer.byteLength(full) <= SOCKET_PATH_MAX) return { name: full, hold: null };
  const hold = await open(directory, 'r');
  return { name: `/proc/self/fd/${hold.fd}/${name}`, hold };
}

/**
 * Has a server listen on a socket with the mode 0600, in the place of whatever was there: only who owns the directory's
 * content may connect. Its later errors are swallowed. Throws the system's error, and the server is closed then.
 */
export async function bindLocal(server: InstanceType<Net['Server']>, place: string): Promise<LocalListener> {
  // Bound where nobody else may look, and renamed: so nobody meets it with another mode, or an old one instead of it.
  const closet = await mkdtemp(`${place}-`);
  let hold: FileHandle | null = null;
  const close = async (): Promise<void> => {
    await new Promise<void>((resolve) => server.close(() => resolve()));
    // Not before: closing removes the name that was bound, and by then the number could mean another directory.
    await hold?.close();
  };
  try {
    const short = await shortName(closet, 's');
    hold = short.hold;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: short.name }, () => {
        server.off('error', reject);
        server.on('error', () => {});
        resolve();
      });
    });
    await chmod(path.join(closet, 's'), 0o600);
    await rename(path.join(closet, 's'), place);
  } catch (error) {
    await close();
    throw error;
  } finally {
    await rm(closet, { recursive: true, force: true });
  }
  return {
    close: async () => {
      await rm(place, { force: true });
      await close();
    },
  };
}

/**
 * Listens as `bindLocal` does. Nothing of this keeps the process running. Throws the system's error.
 *
 * @param onSocket each connection; it is closed by whoever takes it
 * @param connectionsMax more than this at once are turned away
 */
export async function listenLocal(
  place: string,
  onSocket: (socket: LocalSocket) => void,
  connectionsMax: number,
): Promise<LocalListener> {
  const sockets = new Set<LocalSocket>();
  const server = net().createServer((socket) => {
    sockets.add(socket);
    socket.unref();
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    onSocket(socket);
  });
  server.maxConnections = connectionsMax;
  server.unref();
  const listener = await bindLocal(server, place);
  return {
    close: () => {
      for (const socket of sockets) socket.destroy();
      return listener.close();
    },
  };
}

/**
 * Takes a name that one holder on this machine can have, until it gives it back or its process ends; null when it is
 * taken. Nothing is written anywhere. Linux, per network namespace; where there are no such names it is always free.
 */
export async function holdName(name: string): Promise<{ release(): Promise<void> } | null> {
  if (process.platform !== 'linux') return { release: async () => {} };
  const server = net().createServer((socket) => socket.destroy());
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      // Workers of a cluster share handles otherwise: all of them would hold it.
      server.listen({ path: `\0${name}`, exclusive: true }, resolve);
    });
  } catch (error) {
    return systemCode(error) === 'EADDRINUSE' ? null : { release: async () => {} };
  }
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** A connection to a socket; null when nobody listens there, or not for us. */
export async function connectLocal(place: string): Promise<LocalSocket | null> {
  let hold: FileHandle | null = null;
  try {
    const short = await shortName(path.dirname(place), path.basename(place));
    hold = short.hold;
    const socket = net().connect({ path: short.name });
    return await new Promise<LocalSocket>((resolve, reject) => {
      const late = setTimeout(() => socket.destroy(new Error('no answer')), CONNECT_MS);
      socket.once('error', reject);
      socket.once('close', () => clearTimeout(late));
      socket.once('connect', () => {
        clearTimeout(late);
        socket.off('error', reject);
        socket.on('error', () => {});
        resolve(socket);
      });
    });
  } catch {
    return null;
  } finally {
    await hold?.close();
  }
}
