/** A relay between the two ends of a session that can be cut, stopped and counted, connection by connection. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { FRAME, FRAME_HEADER_BYTES } from '../../src/transport/frame.js';

/** Follows the frames of one plain connection. */
class FrameCounter {
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #left = 0;

  /** How many bytes of a chunk it takes until so many more frames of pieces are whole: at most all. */
  until(chunk: Buffer, frames: number, seen: () => void): number {
    for (let at = 0, found = 0; at < chunk.length; ) {
      if (this.#headerBytes < FRAME_HEADER_BYTES) {
        const count = chunk.copy(this.#header, this.#headerBytes, at);
        const used = Math.min(count, FRAME_HEADER_BYTES - this.#headerBytes);
        this.#headerBytes += used;
        at += used;
        if (this.#headerBytes === FRAME_HEADER_BYTES) this.#left = this.#header.readUInt32LE(24);
      } else {
        const used = Math.min(this.#left, chunk.length - at);
        this.#left -= used;
        at += used;
      }
      if (this.#headerBytes < FRAME_HEADER_BYTES || this.#left > 0) continue;
      this.#headerBytes = 0;
      if (this.#header[4] !== FRAME.data) continue;
      seen();
      found += 1;
      if (found === frames) return at;
    }
    return chunk.length;
  }
}

export class Relay {
  readonly near: Socket;
  readonly far: Socket;
  /** Bytes that went from the client to the server. */
  sentBytes = 0;
  readonly frames = new FrameCounter();
  #stopped = false;
  #cut = false;

  constructor(near: Socket, far: Socket, onBytes: (relay: Relay, chunk: Buffer) => number) {
    this.near = near;
    this.far = far;
    near.on('data', (chunk: Buffer) => {
      const allowed = onBytes(this, chunk);
      this.sentBytes += Math.min(allowed, chunk.length);
      if (!far.write(chunk.subarray(0, allowed))) {
        near.pause();
        far.once('drain', () => {
          if (!this.#stopped) near.resume();
        });
      }
    });
    far.on('data', (chunk: Buffer) => {
      if (!near.write(chunk)) {
        far.pause();
        near.once('drain', () => {
          if (!this.#stopped) far.resume();
        });
      }
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => {});
      one.on('end', () => other.end());
      one.on('close', () => {
        if (!this.#cut) other.destroy();
      });
    }
  }

  /** Nothing passes any more, and nobody is told: as when a cable is pulled. */
  stop(): void {
    this.#stopped = true;
    this.near.pause();
    this.far.pause();
  }

  /** Ends both ways; what was let through still arrives. */
  cut(): void {
    this.#cut = true;
    this.near.destroy();
    this.far.end();
  }
  /** As when the receiving program dies: what it has not read yet is lost. */
  reset(): void {
    this.#cut = true;
    this.near.destroy();
    this.far.resetAndDestroy();
  }
}

export class TcpProxy {
  readonly #server: Server;
  readonly relays: Relay[] = [];
  sentBytes = 0;
  #cutting = false;
  /** After this many bytes from client to server all is cut; then it is forgotten. */
  cutAfter = Number.POSITIVE_INFINITY;
  /** After this many whole frames of pieces all is cut; then it is forgotten. */
  cutAfterFrames = Number.POSITIVE_INFINITY;
  /** How it is cut. */
  onCut: () => void = () => this.cutAll();
  onRelay: (relay: Relay, index: number) => void = () => {};

  private constructor(toPort: () => number) {
    this.#server = createServer((near) => {
      const far = connect({ host: '127.0.0.1', port: toPort() });
      const relay = new Relay(near, far, (relay, chunk) => this.#passed(relay, chunk));
      this.relays.push(relay);
      this.onRelay(relay, this.relays.length - 1);
    });
  }

  static async start(toPort: () => number): Promise<TcpProxy> {
    const proxy = new TcpProxy(toPort);
    await new Promise<void>((resolve) => proxy.#server.listen({ host: '127.0.0.1', port: 0 }, resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #passed(relay: Relay, chunk: Buffer): number {
    if (this.#cutting) return 0;
    const whole = relay.frames.until(chunk, this.cutAfterFrames, () => {
      this.cutAfterFrames -= 1;
    });
    const allowed = Math.max(0, Math.min(whole, this.cutAfter - this.sentBytes));
    this.sentBytes += allowed;
    if (allowed === chunk.length && this.cutAfterFrames > 0) return allowed;
    this.#cutting = true;
    // What was let through is on its way before the cut, and nothing follows it.
    setImmediate(() => {
      this.onCut();
      this.#cutting = false;
      this.cutAfter = Number.POSITIVE_INFINITY;
      this.cutAfterFrames = Number.POSITIVE_INFINITY;
    });
    return allowed;
  }

  cutAll(): void {
    for (const relay of this.relays) relay.cut();
  }

  close(): void {
    this.cutAll();
    this.#server.close();
  }
}
