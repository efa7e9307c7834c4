/** Early pieces on streams whose joins fail, and in the other direction. */
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { BlobDigests } from '../../src/transport/blob-digests.js';
import { OutgoingBlob } from '../../src/transport/outgoing-blob.js';
import { connect, type Session } from '../../src/transport/transport.js';
import { farAway, MemoryReceiver, memorySource, PLAIN, seededBytes, withPair } from './session-fixture.js';

const GROUP = 65_536;
const MIB = 1 << 20;
const bytes = seededBytes(6 * MIB + 77, 3);

afterEach(() => vi.restoreAllMocks());

/** A way on which the first connection leads to a listener, and the others where `others` says. */
async function forked(port: () => number, others: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  let count = 0;
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    count += 1;
    if (count > 1) {
      others(socket);
      return;
    }
    const upstream = dial({ host: '127.0.0.1', port: port() });
    upstream.on('error', () => {});
    socket.pipe(upstream).pipe(socket);
    socket.on('close', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    get count() {
      return count;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

describe('streams that do not join', () => {
  /** Sends over such a way; how many connections were made in all. */
  async function sentDespite(others: (socket: Socket) => void): Promise<number> {
    const receiver = new MemoryReceiver();
    const onSession = (session: Session): void => session.onBlob('test', receiver.open);
    let connections = 0;
    await withPair({ listen: { onSession } }, async ({ listener }) => {
      const way = await forked(() => listener.port, others);
      const session = await connect({ host: '127.0.0.1', port: way.port }, { trust: PLAIN, streams: { initial: 4 } });
      await session.send(memorySource(bytes));
      expect(session.figures.inFlightBytes).toBe(0);
      expect(session.figures.lostStreams).toBe(0);
      connections = way.count;
      session.destroy(new Error('enough'));
      way.close();
    });
    expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
    return connections;
  }

  it('and hang, keep an early piece each for a second: the control stream carries', async () => {
    farAway();
    await sentDespite(() => {});
  }, 30_000);

  it('and end at once, carry nothing, and are asked for less and less', async () => {
    farAway();
    // Five to begin with, and four after 0.2 s, 0.4 s and so on: without pauses there are hundreds.
    expect(await sentDespite((socket) => socket.destroy())).toBeLessThan(60);
  }, 30_000);

  it('and are refused by another server, do no harm', async () => {
    farAway();
    await withPair({}, async ({ listener: stranger }) => {
      const connections = await sentDespite((socket) => {
        const upstream = dial({ host: '127.0.0.1', port: stranger.port });
        upstream.on('error', () => {});
        socket.pipe(upstream).pipe(socket);
        socket.on('close', () => upstream.destroy());
      });
      expect(connections).toBeLessThan(60);
    });
  }, 30_000);
});

describe('early pieces', () => {
  it('are sent by the side that listens, too', async () => {
    farAway();
    await withPair({ connect: { streams: { initial: 4 } } }, async ({ client, server }) => {
      const receiver = new MemoryReceiver();
      let letOpen = (): void => {};
      const may = new Promise<void>((resolve) => {
        letOpen = resolve;
      });
      client.onBlob('test', async (offer) => {
        await may;
        return receiver.open(offer);
      });
      while (server.figures.openStreams < 4) await new Promise((resolve) => setTimeout(resolve, 5));
      const sent = server.send(memorySource(bytes));
      while (server.figures.sentBytes < MIB) await new Promise((resolve) => setTimeout(resolve, 5));
      letOpen();
      await sent;
      expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
      expect(server.figures.inFlightBytes).toBe(0);
    });
  });

  it('say nothing of the way when their sink opens late', () => {
    const settle = { resolve: () => {}, reject: () => {} };
    const job = { blob: memorySource(bytes), digestKind: 'blake3', options: {} } as const;
    const out = new OutgoingBlob(1, job, settle);
    out.beginEarly(3 * GROUP, new BlobDigests(loadEngine(), undefined));
    for (const sentMs of [5, 6]) Object.assign(out.next(GROUP) ?? {}, { sentMs, sends: 1 });
    expect(out.begin([[0, GROUP]], 9000).map(({ offset }) => offset)).toEqual([0]);
    // What was under way counts from the answer on, and is no measure of the way.
    expect([...out.pieces.values()]).toMatchObject([{ offset: GROUP, sentMs: 9000, waited: true }]);
    const next = out.next(GROUP);
    expect(next?.offset).toBe(2 * GROUP);
    expect(next).not.toHaveProperty('waited');
    expect(() => out.begin([], 9000)).toThrow(/accepted already/);
  });
});

it('a blob that is given up in its own progress takes nothing of the window along', async () => {
  await withPair({}, async ({ client, server }) => {
    server.onBlob('test', new MemoryReceiver().open);
    const stop = new AbortController();
    const sent = client.send(memorySource(bytes), { signal: stop.signal, onProgress: () => stop.abort() });
    await expect(sent).rejects.toMatchObject({ code: 'DK_ABORTED' });
    expect(client.figures.inFlightBytes).toBe(0);
    await client.send(memorySource(seededBytes(2 * MIB, 9)));
  });
});
