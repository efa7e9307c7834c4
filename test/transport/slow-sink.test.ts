/** A sink that takes its time is not taken for a stream that stands still; one that does is found, whatever else goes on. */
import { describe, expect, it } from 'vitest';
import { createReceiver, createSender, type ReceiverOptions, type Sender } from '../../src/transport/transport.js';
import { MemoryReceiver, memorySource, PLAIN, seededBytes, withPair } from './session-fixture.js';
import { TcpProxy } from './tcp-proxy.js';

const LINK = { trust: PLAIN, streams: { minimum: 4, maximum: 4 } };
const SLOW_MS = 4000;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Parts {
  readonly sender: Sender;
  readonly proxy: TcpProxy;
  /** How often each state came. */
  readonly calls: Map<string, number>;
}

/** Runs with a sender whose receiver takes four seconds for the state `slow`. */
async function withSlow(body: (parts: Parts) => Promise<void>, onlyControl = false): Promise<void> {
  const calls = new Map<string, number>();
  const onState: ReceiverOptions['onState'] = async (key) => {
    calls.set(key, (calls.get(key) ?? 0) + 1);
    if (key === 'slow') await pause(SLOW_MS);
  };
  const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link: LINK, onState });
  const proxy = await TcpProxy.start(() => receiver.port);
  proxy.onRelay = (relay, index) => {
    if (onlyControl && index > 0) relay.cut();
  };
  const sender = await createSender(`tcp://127.0.0.1:${proxy.port}`, { link: LINK });
  try {
    await body({ sender, proxy, calls });
  } finally {
    await sender.close();
    proxy.close();
    await receiver.close(100);
  }
}

/** One state that is slow, and quick ones until it has been taken. */
async function sendAmongQuickOnes({ sender }: Parts, everyMs: number): Promise<void> {
  let over = false;
  const slow = sender.sendState('slow', seededBytes(100_000, 1)).finally(() => {
    over = true;
  });
  while (!over) {
    await sender.sendState('quick', seededBytes(20_000, 2));
    await pause(everyMs);
  }
  await slow;
}

describe('a message whose handler takes four seconds', () => {
  it.each([5, 400])('is sent once while others go past it every %i ms, and no stream is given up', (everyMs) =>
    withSlow(async (parts) => {
      const { sender, calls } = parts;
      while (sender.totals.openStreams < 4) await pause(5);
      await sendAmongQuickOnes(parts, everyMs);
      expect(sender.totals).toMatchObject({ lostStreams: 0, resentBytes: 0, sessions: 1 });
      expect(calls.get('slow')).toBe(1);
      expect(calls.get('quick')).toBeGreaterThan(5);
    }),
  );

  it('does not end a session that has its control stream alone', () =>
    withSlow(async (parts) => {
      await sendAmongQuickOnes(parts, 5);
      expect(parts.sender.totals.sessions).toBe(1);
      expect(parts.calls.get('slow')).toBe(1);
    }, true));
});

it('data streams that all stand still are replaced while the control stream goes on', async () => {
  const receiver = new MemoryReceiver();
  const listen = {
    onSession: (session: { onBlob(name: string, open: MemoryReceiver['open']): void }) =>
      session.onBlob('test', receiver.open),
  };
  await withPair({ listen }, async ({ listener }) => {
    const proxy = await TcpProxy.start(() => listener.port);
    const link = { trust: PLAIN, keepaliveMs: 300, streams: { minimum: 2, maximum: 2 } };
    const sender = await createSender(`tcp://127.0.0.1:${proxy.port}`, { link });
    while (sender.totals.openStreams < 2) await pause(5);
    for (const relay of proxy.relays.slice(1)) relay.stop();
    // Small enough for the relay's kernel to take it: ours believes that it has arrived.
    await sender.send(memorySource(seededBytes(20_000, 1)));
    expect(receiver.finished).toHaveLength(1);
    expect(sender.totals).toMatchObject({ sessions: 1 });
    expect(sender.totals.lostStreams).toBeGreaterThan(0);
    await sender.close();
    proxy.close();
  });
});
