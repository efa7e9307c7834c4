/** Streams that die, stall or lag; sessions that are cut and taken up again. */
import { describe, expect, it } from 'vitest';
import { type ConnectOptions, connect, type Session } from '../../src/transport/transport.js';
import { MemoryReceiver, memorySource, PLAIN, seededBytes, withPair } from './session-fixture.js';
import { TcpProxy } from './tcp-proxy.js';

const MIB = 1 << 20;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs with a session that goes through a relay. */
function withProxy(
  options: Partial<ConnectOptions>,
  body: (parts: { proxy: TcpProxy; receiver: MemoryReceiver; dial: () => Promise<Session> }) => Promise<void>,
): Promise<void> {
  const receiver = new MemoryReceiver();
  const listen = { onSession: (session: Session) => session.onBlob('test', receiver.open), windowBytes: 4 * MIB };
  return withPair({ listen }, async ({ listener }) => {
    const proxy = await TcpProxy.start(() => listener.port);
    const dial = (): Promise<Session> => connect({ host: '127.0.0.1', port: proxy.port }, { trust: PLAIN, ...options });
    try {
      await body({ proxy, receiver, dial });
    } finally {
      proxy.close();
    }
  });
}

describe('a stream', () => {
  it('that dies is replaced, and what it carried goes over the others', () =>
    withProxy({ streams: { initial: 4, maximum: 4 } }, async ({ proxy, receiver, dial }) => {
      const session = await dial();
      const bytes = seededBytes(24 * MIB, 1);
      receiver.beforeWrite = async (offset) => {
        if (offset === 4 * MIB) proxy.relays[2]?.cut();
        if (offset === 12 * MIB) proxy.relays[1]?.cut();
      };
      await session.send(memorySource(bytes));
      expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
      expect(session.figures.lostStreams).toBe(2);
      while (session.figures.openStreams < 4) await pause(10);
      await session.close();
    }));

  it('that dies while a piece is being read for it does not keep the digest from being made', () =>
    withProxy({ streams: { initial: 1, maximum: 1 } }, async ({ proxy, receiver, dial }) => {
      const session = await dial();
      while (session.figures.openStreams < 1) await pause(5);
      const bytes = seededBytes(3 * MIB, 5);
      let reads = 0;
      let readAgain = (): void => {};
      const again = new Promise<void>((resolve) => {
        readAgain = resolve;
      });
      const slow = memorySource(bytes, {
        read: async (offset, into) => {
          if (offset === 0 && reads++ === 0) {
            proxy.relays[1]?.cut();
            await again;
          } else if (offset === 0) setTimeout(readAgain, 50);
          return bytes.copy(into, 0, offset);
        },
      });
      await session.send(slow);
      expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
      expect(reads).toBe(2);
      await session.close();
    }));

  it('that stands still does not hold up the end: its pieces are sent over an idle one', () =>
    withProxy({ streams: { initial: 4, maximum: 4 } }, async ({ proxy, receiver, dial }) => {
      const session = await dial();
      while (session.figures.openStreams < 4) await pause(5);
      const bytes = seededBytes(7 * MIB, 2);
      let stopped = false;
      receiver.beforeWrite = async () => {
        if (!stopped) proxy.relays[3]?.stop();
        stopped = true;
      };
      const startMs = performance.now();
      await session.send(memorySource(bytes));
      expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
      expect(session.figures.resentBytes).toBeGreaterThan(0);
      expect(performance.now() - startMs).toBeLessThan(5000);
      session.destroy(new Error('done'));
    }));

  it('that cannot be opened is no harm: the control stream carries', () =>
    withProxy({}, async ({ proxy, receiver, dial }) => {
      proxy.onRelay = (relay, index) => {
        if (index > 0) relay.cut();
      };
      const session = await dial();
      const bytes = seededBytes(6 * MIB, 3);
      await session.send(memorySource(bytes));
      expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
      expect(session.figures.openStreams).toBe(0);
      await session.close();
    }));
});

describe('a session', () => {
  it('whose cable is pulled ends by itself', () =>
    withProxy({ keepaliveMs: 40 }, async ({ proxy, dial }) => {
      const session = await dial();
      while (session.figures.openStreams === 0) await pause(5);
      for (const relay of proxy.relays) relay.stop();
      await expect(session.closed).rejects.toMatchObject({ code: 'DK_CONNECTION' });
    }));

  it('keeps to its rate over all streams', () =>
    withProxy({ rateLimit: 4 * MIB, streams: { minimum: 4, initial: 4 } }, async ({ receiver, dial }) => {
      const session = await dial();
      const startMs = performance.now();
      await session.send(memorySource(seededBytes(3 * MIB, 1)));
      const seconds = (performance.now() - startMs) / 1000;
      expect(receiver.finished).toHaveLength(1);
      // Less the burst of 50 ms and the last piece of up to 100 ms.
      expect(seconds).toBeGreaterThan(0.55);
      await session.close();
    }));
});

describe('a transfer that is cut', () => {
  const SIZE = 32 * MIB;
  const bytes = seededBytes(SIZE, 11);
  /** Where frames end when a single stream carries them, and in the middle of them. */
  const places = [60, 500, 70_000, 5 * MIB + 48, 17 * MIB + 4096, 21_234_567, 31 * MIB];
  it.each(places)('after %i bytes goes on, and at most 1 %% is sent twice', (place) =>
    withProxy({ streams: { initial: 2, maximum: 2 } }, async ({ proxy, receiver, dial }) => {
      proxy.cutAfter = place;
      let attempts = 0;
      while (receiver.finished.length === 0 && attempts < 4) {
        attempts += 1;
        await dial().then(
          async (session) => {
            await session.send(memorySource(bytes)).catch(() => {});
            session.destroy(new Error('next'));
          },
          () => {},
        );
      }
      expect(attempts).toBe(2);
      expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
      // What passed the wire, with headers, acknowledgements' share and all.
      expect(proxy.sentBytes).toBeLessThan(SIZE * 1.01 + 65536);
      expect(receiver.writtenBytes).toBe(SIZE);
    }),
  );
});
