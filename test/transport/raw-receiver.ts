/** A receiver that speaks the frames by hand: greets as it is told, and turns every blob away. */
import { createServer, type Socket } from 'node:net';
import type { DiffKeeperError } from '../../src/core/core.js';
import { loadEngine } from '../../src/engine/load.js';
import { FRAME } from '../../src/transport/frame.js';
import { FramePool } from '../../src/transport/frame-pool.js';
import { type Frame, FrameReader } from '../../src/transport/frame-reader.js';
import { encodeWelcome, type Welcome } from '../../src/transport/greeting.js';
import { decodeBlob, decodeOffer, type OfferBody } from '../../src/transport/messages.js';
import { encodeError } from '../../src/transport/wire-error.js';
import { frameBytes } from './raw-client.js';

export interface RawReceiver {
  readonly url: string;
  /** What was offered, or came at once. */
  readonly offers: readonly OfferBody[];
  close(): void;
}

/** @param reason what every blob is told */
export async function startRawReceiver(
  greeting: Pick<Welcome, 'version' | 'quickDigests'>,
  reason: DiffKeeperError,
): Promise<RawReceiver> {
  const offers: OfferBody[] = [];
  const sockets: Socket[] = [];
  let control: Socket | undefined;
  const secrets = { sessionId: Buffer.alloc(16, 1), secret: Buffer.alloc(32, 2) };
  const welcome: Welcome = { ...greeting, ...secrets, windowBytes: 4 << 20, streamsMax: 1, rights: 'append' };
  const take = (socket: Socket, { type, id, payload }: Frame): void => {
    if (type === FRAME.hello) {
      control = socket;
      socket.write(frameBytes(FRAME.welcome, encodeWelcome(welcome)));
    } else if (type === FRAME.join) socket.write(frameBytes(FRAME.joined));
    else if (type === FRAME.offer || type === FRAME.blob) {
      offers.push(type === FRAME.offer ? decodeOffer(payload) : decodeBlob(payload).offer);
      control?.write(frameBytes(FRAME.reject, encodeError(reason), { id }));
    } else if (type === FRAME.close) socket.write(frameBytes(FRAME.closed));
  };
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    const reader = new FrameReader(
      (data) => loadEngine().xxh3(data),
      new FramePool(),
      () => 1 << 21,
      (frame) => take(socket, frame),
    );
    socket.on('data', (chunk) => reader.feed(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `tcp://127.0.0.1:${(server.address() as { port: number }).port}`,
    offers,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
