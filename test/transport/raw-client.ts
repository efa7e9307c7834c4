/** A client that speaks the frames by hand, to say what no proper one would. */
import { connect, type Socket } from 'node:net';
import { loadEngine } from '../../src/engine/load.js';
import { encodeHeader, FRAME, type FrameFields, type FrameType } from '../../src/transport/frame.js';
import { FramePool } from '../../src/transport/frame-pool.js';
import { type Frame, FrameReader } from '../../src/transport/frame-reader.js';
import { decodeWelcome, encodeHello, type Welcome } from '../../src/transport/greeting.js';
import { encodeOffer } from '../../src/transport/messages.js';

const xxh3 = (data: Uint8Array): bigint => loadEngine().xxh3(data);

export function frameBytes(type: FrameType, payload: Uint8Array = Buffer.alloc(0), fields: FrameFields = {}): Buffer {
  return Buffer.concat([encodeHeader(xxh3, type, payload, fields), payload]);
}

export function offerBytes(size: number, key = 'k'): Buffer {
  return encodeOffer({ service: 'test', key: Buffer.from(key), size, meta: Buffer.alloc(0) }).finish();
}

export class RawClient {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  /** Resolves when the other side has closed. */
  readonly closed: Promise<void>;
  #wake: () => void = () => {};
  #over = false;

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port });
    const reader = new FrameReader(
      xxh3,
      new FramePool(),
      () => 1 << 21,
      (frame) => {
        this.frames.push(frame);
        this.#wake();
      },
    );
    this.socket.on('data', (chunk) => reader.feed(chunk));
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      this.socket.once('close', () => {
        this.#over = true;
        this.#wake();
        resolve();
      });
    });
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next frame; undefined when the other side closes first. */
  async next(): Promise<Frame | undefined> {
    while (this.frames.length === 0 && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.frames.shift();
  }

  async hello(versionMax = 1): Promise<Welcome> {
    this.write(frameBytes(FRAME.hello, encodeHello({ versionMin: 1, versionMax, windowBytes: 2 << 20 })));
    const frame = await this.next();
    return decodeWelcome((frame as Frame).payload);
  }
}
