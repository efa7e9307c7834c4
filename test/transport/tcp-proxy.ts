/** A relay between the two ends of a session that can be cut, stopped and counted, connection by connection. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Relay {
  readonly near: Socket;
  readonly far: Socket;
  /** Bytes that went from the client to the server. */
  sentBytes = 0;
  #stopped = false;
  #cut = false;

  constructor(near: Socket, far: Socket, onBytes: (relay: Relay, count: number) => number) {
    this.near = near;
    this.far = far;
    near.on('data', (chunk: Buffer) => {
      const allowed = onBytes(this, chunk.length);
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
}

export class TcpProxy {
  readonly #server: Server;
  readonly relays: Relay[] = [];
  sentBytes = 0;
  #cutting = false;
  /** After this many bytes from client to server all is cut; then it is forgotten. */
  cutAfter = Number.POSITIVE_INFINITY;
  onRelay: (relay: Relay, index: number) => void = () => {};

  private constructor(toPort: () => number) {
    this.#server = createServer((near) => {
      const far = connect({ host: '127.0.0.1', port: toPort() });
      const relay = new Relay(near, far, (_relay, count) => this.#passed(count));
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

  #passed(count: number): number {
    const allowed = Math.max(0, Math.min(count, this.cutAfter - this.sentBytes));
    this.sentBytes += allowed;
    if (allowed === count || this.#cutting) return allowed;
    this.#cutting = true;
    // What was let through is on its way before the cut, and nothing follows it.
    setImmediate(() => {
      this.cutAll();
      this.#cutting = false;
      this.cutAfter = Number.POSITIVE_INFINITY;
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
