/** One connection: bytes in to where they belong, frames out in as few writes as possible. */
import type { RawSocket, ReadOptions } from './sockets.js';

/** Small frames are gathered and copied into one write. */
const GATHER_BYTES = 16 << 10;
const KEEPALIVE_DELAY_MS = 15_000;

/** Where received bytes go. */
export interface Intake {
  /** Where the next bytes belong; never empty. */
  tail(): Buffer;
  /** So many are there. May throw: the connection is ended then. */
  took(bytes: number): void;
  /** Once, when the connection is over. */
  closed(error: Error | undefined): void;
}

/** Of Node's socket, not documented but unchanged since its beginnings; used only when it is there. */
export interface Internals {
  _handle: { readonly fd?: number; useUserBuffer?(buffer: Buffer): void } | null;
  _server: object | null;
}

export const internals = (socket: RawSocket): Internals => socket as unknown as Internals;

export function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(::ffff:)?127\.|^::1$/.test(address);
}

/** A connection that is established, and known to be from who it says. */
export class StreamSocket {
  readonly #socket: RawSocket;
  readonly address: string;
  /** Whether the other side is on this machine. */
  readonly near: boolean;
  /** Name of the other side; 'anonymous' without TLS, empty when its certificate has none. */
  readonly name: string;
  #corked = false;

  /** Of TLS: it joins what is written at once into new memory first, so a frame had better be in one piece. */
  readonly secure: boolean;

  constructor(socket: RawSocket, name: string) {
    this.#socket = socket;
    this.name = name;
    this.secure = 'encrypted' in socket;
    this.near = isLoopback(socket.remoteAddress);
    this.address = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
  }

  /** Descriptor for the kernel's figures and settings; undefined when the connection is over or it is not known. */
  get fd(): number | undefined {
    const fd = internals(this.#socket)._handle?.fd;
    return typeof fd === 'number' && fd >= 0 ? fd : undefined;
  }

  /** Sends both; `done` is called once the kernel has them, or never will. */
  write(header: Buffer, payload: Uint8Array, done: () => void): void {
    const socket = this.#socket;
    if (header.length + payload.length <= GATHER_BYTES) {
      this.#gather();
      socket.write(payload.length === 0 ? header : Buffer.concat([header, payload]), done);
      return;
    }
    socket.cork();
    socket.write(header);
    socket.write(payload, done);
    socket.uncork();
  }

  /** Sends a large frame that is in one piece. */
  writeWhole(frame: Buffer, done: () => void): void {
    this.#socket.write(frame, done);
  }

  /** Holds small writes until this turn of the loop is over, so that they leave together. */
  #gather(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    setImmediate(() => {
      this.#corked = false;
      this.#socket.uncork();
    });
  }

  /** Sends what is queued and closes. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Ties a socket to its intake. `direct`: it was made with `readDirectly` and brings no 'data'. */
export function attach(socket: RawSocket, intake: Intake, direct: boolean): void {
  let failure: Error | undefined;
  socket.on('error', (error) => {
    failure ??= error;
  });
  socket.once('close', () => intake.closed(failure));
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEPALIVE_DELAY_MS);
  if (direct) return;
  socket.on('data', (chunk: Buffer) => {
    guarded(socket, () => {
      for (let at = 0; at < chunk.length && !socket.destroyed; ) {
        const count = chunk.copy(intake.tail(), 0, at);
        at += count;
        intake.took(count);
      }
    });
  });
}

function guarded(socket: RawSocket, take: () => void): boolean {
  if (socket.destroyed) return false;
  try {
    take();
    return true;
  } catch (error) {
    socket.destroy(error instanceof Error ? error : new Error(String(error)));
    return false;
  }
}

/** What Node's `onread` option sets on a socket, by the names of its symbols. */
const READ_MARKS = ['kBuffer', 'kBufferCb', 'kBufferGen'] as const;

/**
 * Makes a socket that is there already read into our memory, as `onread` does for those we make: Node's TLS server has
 * no such option, and 'data' costs an allocation for each record of 16 KiB. False where this release of Node keeps it
 * elsewhere; then nothing was changed.
 */
export function turnDirect(socket: RawSocket, intake: Intake): boolean {
  const symbols = Object.getOwnPropertySymbols(socket);
  const [buffer, callback, next] = READ_MARKS.map((name) => symbols.find(({ description }) => description === name));
  const handle = internals(socket)._handle;
  const known = buffer !== undefined && callback !== undefined && next !== undefined && socket.readableLength === 0;
  if (!known || handle?.useUserBuffer === undefined) return false;
  const first = intake.tail();
  const options = readDirectly(intake, () => socket);
  Object.assign(socket, { [buffer]: first, [callback]: options.callback, [next]: options.buffer });
  handle.useUserBuffer(first);
  return true;
}

/** Node's option for reading into our memory. The socket is known only after the option was made. */
export function readDirectly(intake: Intake, socket: () => RawSocket): ReadOptions {
  return {
    buffer: () => intake.tail(),
    callback: (bytes) => guarded(socket(), () => intake.took(bytes)),
  };
}
