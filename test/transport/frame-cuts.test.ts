/**
 * A transfer that is cut right behind each of its frames. Some of them here; `DIFFKEEPER_CUTS=every npx vitest run
 * test/transport/frame-cuts.test.ts` takes them all, which needs minutes.
 */
import { describe, expect, it } from 'vitest';
import { connect, type Session } from '../../src/transport/transport.js';
import { MemoryReceiver, memorySource, PLAIN, seededBytes, withPair } from './session-fixture.js';
import { TcpProxy } from './tcp-proxy.js';

const MIB = 1 << 20;
const SIZE = 16 * MIB;
const PIECE_BYTES = 65_536;
/** But for the last, which makes it whole. */
const FRAMES = SIZE / PIECE_BYTES - 1;
const bytes = seededBytes(SIZE, 21);
const every = process.env.DIFFKEEPER_CUTS === 'every';
const cuts = Array.from({ length: FRAMES }, (_, index) => index + 1).filter((frame) => every || frame % 50 === 1);

/** Bytes that passed from sender to receiver in all, and those of them that the cut kept from arriving. */
async function transferCutAfter(frames: number, kill: 'sender' | 'receiver') {
  const receiver = new MemoryReceiver();
  const listen = { onSession: (session: Session) => session.onBlob('test', receiver.open) };
  let lostBytes = 0;
  let sentBytes = 0;
  await withPair({ listen }, async ({ listener }) => {
    const proxy = await TcpProxy.start(() => listener.port);
    proxy.cutAfterFrames = frames;
    proxy.onCut = () => {
      if (kill === 'sender') proxy.cutAll();
      else for (const relay of proxy.relays) relay.reset();
    };
    let sessions = 0;
    while (receiver.finished.length === 0 && sessions < 4) {
      sessions += 1;
      const place = { host: '127.0.0.1', port: proxy.port };
      const session = await connect(place, { trust: PLAIN, streams: { initial: 1, maximum: 1 } });
      await session.send(memorySource(bytes)).catch(() => {});
      session.destroy(new Error('next'));
      // The next one waits for it, too: until then it takes what is on its way.
      while (receiver.finished.length + receiver.aborted.length < sessions) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      if (sessions === 1) lostBytes = frames * PIECE_BYTES - receiver.writtenBytes;
    }
    expect(sessions).toBe(2);
    sentBytes = proxy.sentBytes;
    proxy.close();
  });
  expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
  expect(receiver.writtenBytes).toBe(SIZE);
  return { sentBytes, lostBytes };
}

describe.each(cuts)('cut after frame %i', (frame) => {
  it('when the sender goes, at most 1 % is sent twice', async () => {
    const { sentBytes, lostBytes } = await transferCutAfter(frame, 'sender');
    // What it sent arrived.
    expect(lostBytes).toBe(0);
    expect(sentBytes).toBeLessThan(SIZE * 1.01);
  }, 20_000);

  it('when the receiver goes, only what it had not read is sent twice', async () => {
    const { sentBytes, lostBytes } = await transferCutAfter(frame, 'receiver');
    expect(lostBytes).toBeGreaterThanOrEqual(0);
    expect(sentBytes).toBeLessThan(SIZE * 1.01 + lostBytes);
  }, 20_000);
});
