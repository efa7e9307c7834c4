/** Connections for data streams are made while the control stream greets, and none is left over. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { connect } from '../../src/transport/transport.js';
import { PLAIN, withPair } from './session-fixture.js';

const patient = { timeout: 20_000, interval: 10 };

/** Takes connections and never says a word. */
async function silent(task: (port: number, sockets: Set<Socket>) => Promise<void>): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    socket.resume();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await task((server.address() as AddressInfo).port, sockets);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

describe('data streams', () => {
  it.each([1, 3])('%i are on their way before the greeting is answered, and end when it never is', (initial) =>
    silent(async (port, sockets) => {
      const stop = new AbortController();
      const place = { host: '127.0.0.1', port };
      const streams = { initial, minimum: 1, maximum: 8 };
      const opened = connect(place, { trust: PLAIN, streams, signal: stop.signal }).catch((error: unknown) => error);
      await vi.waitFor(() => expect(sockets.size).toBe(1 + initial), patient);
      stop.abort();
      expect(await opened).toMatchObject({ code: 'DK_ABORTED' });
      await vi.waitFor(() => expect(sockets.size).toBe(0), patient);
    }),
  );

  it('join as they are, and those that the other side does not want are ended', () =>
    withPair({ listen: { streams: { maximum: 2 } }, connect: { streams: { initial: 6 } } }, async (pair) => {
      await vi.waitFor(() => expect(pair.client.figures.openStreams).toBe(2), patient);
      // The four others were closed before they said anything.
      await vi.waitFor(() => expect(pair.listener.refusals.get('closed')).toBe(4), patient);
      expect(pair.server.figures.openStreams).toBe(2);
      await pair.end();
    }));
});
