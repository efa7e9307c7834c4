/** Pieces that are sent before their blob is accepted. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { EARLY_BYTES_MAX, EarlyPieces, EarlyShare, VERSION_EARLY } from '../../src/transport/early-pieces.js';
import { FRAME } from '../../src/transport/frame.js';
import type { Frame } from '../../src/transport/frame-reader.js';
import { encodeJoin, joinToken } from '../../src/transport/greeting.js';
import { decodeAcks, decodeHave } from '../../src/transport/messages.js';
import type { Session } from '../../src/transport/transport.js';
import { frameBytes, offerBytes, RawClient } from './raw-client.js';
import { farAway, MemoryReceiver, memorySource, seededBytes, withPair } from './session-fixture.js';

const GROUP = 65_536;
const MIB = 1 << 20;
const SIZE = 3 * GROUP;
const BYTES = seededBytes(SIZE, 5);

afterEach(() => vi.restoreAllMocks());

const blake3 = (bytes: Buffer): Buffer => loadEngine().digest('blake3', bytes);

const pieceOf = (at: number, id = 1): Buffer =>
  frameBytes(FRAME.data, BYTES.subarray(at, at + GROUP), { id, offset: at });

/** A receiver that opens sinks only once it is let. */
function slowReceiver() {
  const receiver = new MemoryReceiver();
  let letOpen = (): void => {};
  const may = new Promise<void>((resolve) => {
    letOpen = resolve;
  });
  const open: typeof receiver.open = async (offer) => {
    await may;
    return receiver.open(offer);
  };
  return { receiver, letOpen, onSession: (session: Session): void => session.onBlob('test', open) };
}

/** The next frame of a type. */
async function nextOf(client: RawClient, type: number): Promise<Frame> {
  for (let frame = await client.next(); frame !== undefined; frame = await client.next()) {
    if (frame.type === type) return frame;
  }
  throw new Error(`no frame of type ${type} came`);
}

describe('who receives', () => {
  it('holds pieces that come before the blob is accepted, even before it is offered', async () => {
    const { receiver, letOpen, onSession } = slowReceiver();
    await withPair({ listen: { onSession } }, async ({ listener }) => {
      const client = new RawClient(listener.port);
      const { sessionId, secret } = await client.hello(VERSION_EARLY);
      const stream = new RawClient(listener.port);
      const join = encodeJoin({ sessionId, number: 0, token: joinToken(secret, sessionId, 0) });
      // Behind the join, which nobody has answered.
      stream.write(Buffer.concat([frameBytes(FRAME.join, join), pieceOf(GROUP), pieceOf(0), pieceOf(GROUP)]));
      expect((await stream.next())?.type).toBe(FRAME.joined);
      client.write(frameBytes(FRAME.offer, offerBytes(SIZE), { id: 1 }));
      client.write(pieceOf(2 * GROUP));
      client.write(frameBytes(FRAME.digest, blake3(BYTES), { id: 1 }));
      letOpen();
      expect((await nextOf(client, FRAME.accept)).id).toBe(1);
      await nextOf(client, FRAME.done);
      stream.socket.destroy();
      client.socket.destroy();
    });
    expect(receiver.finished[0]?.bytes.equals(BYTES)).toBe(true);
    expect(receiver.writtenBytes).toBe(SIZE);
  });

  it.each<[string, Buffer[]]>([
    ['a piece that is no whole group', [frameBytes(FRAME.data, BYTES.subarray(0, 100), { id: 1 })]],
    ['a piece between two groups', [frameBytes(FRAME.data, BYTES.subarray(0, GROUP), { id: 1, offset: 100 })]],
    ['more of them than a sender may send', Array.from({ length: 33 }, (_, at) => pieceOf(0, at + 1))],
  ])('ends the session at %s', async (_name, frames) => {
    await withPair({}, async ({ listener }) => {
      const client = new RawClient(listener.port);
      await client.hello(VERSION_EARLY);
      for (const frame of frames) client.write(frame);
      await client.closed;
    });
  });

  it('ends the session at any of them in an older version', async () => {
    await withPair({}, async ({ listener }) => {
      const client = new RawClient(listener.port);
      await client.hello(VERSION_EARLY - 1);
      client.write(pieceOf(0));
      await client.closed;
    });
  });

  it('ends the session at one behind the end of its blob', async () => {
    const { receiver, letOpen, onSession } = slowReceiver();
    await withPair({ listen: { onSession } }, async ({ listener }) => {
      const client = new RawClient(listener.port);
      await client.hello(VERSION_EARLY);
      client.write(Buffer.concat([frameBytes(FRAME.offer, offerBytes(GROUP), { id: 1 }), pieceOf(GROUP)]));
      letOpen();
      await client.closed;
    });
    expect(receiver.finished).toHaveLength(0);
  });

  it('drops those that it has, and tells of the others', async () => {
    const receiver = new MemoryReceiver();
    receiver.kept.set(Buffer.from('k').toString('hex'), { bytes: Buffer.from(BYTES), have: [[GROUP, GROUP]] });
    const onSession = (session: Session): void => session.onBlob('test', receiver.open);
    await withPair({ listen: { onSession } }, async ({ listener }) => {
      const client = new RawClient(listener.port);
      await client.hello(VERSION_EARLY);
      client.write(Buffer.concat([frameBytes(FRAME.offer, offerBytes(SIZE), { id: 1 }), pieceOf(0), pieceOf(GROUP)]));
      expect(decodeHave((await nextOf(client, FRAME.accept)).payload, SIZE)).toEqual([[GROUP, 2 * GROUP]]);
      expect(decodeAcks((await nextOf(client, FRAME.ack)).payload)).toEqual([{ id: 1, offset: 0 }]);
      client.socket.destroy();
    });
    expect(receiver.writtenBytes).toBe(GROUP);
  });
});

describe('who sends over a long way', () => {
  it.each([1, 4])('has pieces under way before the answer comes, over %i streams', async (initial) => {
    farAway();
    const { receiver, letOpen, onSession } = slowReceiver();
    const bytes = seededBytes(6 * MIB + 77, 3);
    await withPair({ listen: { onSession }, connect: { streams: { initial } } }, async ({ client }) => {
      const sent = client.send(memorySource(bytes));
      // On a starved machine some may be sent again.
      const sentOnce = (): number => client.figures.sentBytes - client.figures.resentBytes;
      while (sentOnce() < EARLY_BYTES_MAX) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(sentOnce()).toBe(EARLY_BYTES_MAX);
      letOpen();
      await sent;
      expect(client.figures.inFlightBytes).toBe(0);
    });
    expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
    expect(receiver.writtenBytes).toBe(bytes.length);
  });

  it.each([true, false])('goes on where an earlier session ended (digest known: %s)', async (known) => {
    farAway();
    const bytes = seededBytes(6 * MIB + 77, 4);
    const source = memorySource(bytes, known ? { digest: blake3(bytes) } : {});
    const receiver = new MemoryReceiver();
    const have: [number, number][] = [
      [GROUP, 4 * GROUP],
      [3 * MIB, MIB],
    ];
    receiver.kept.set(source.key.toString('hex'), { bytes: Buffer.from(bytes), have });
    await withPair({}, async ({ client, server }) => {
      server.onBlob('test', receiver.open);
      await client.send(source);
      expect(client.figures.inFlightBytes).toBe(0);
      // Early pieces that were there already went in vain; those that seemed late went twice.
      const { sentBytes, resentBytes } = client.figures;
      const wanted = bytes.length - MIB - 4 * GROUP;
      expect(sentBytes - resentBytes).toBeGreaterThanOrEqual(wanted);
      expect(sentBytes - resentBytes).toBeLessThanOrEqual(wanted + 4 * GROUP);
    });
    expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
    expect(receiver.writtenBytes).toBe(bytes.length - MIB - 4 * GROUP);
  });

  it('loses nothing but the early pieces when the blob is there', async () => {
    farAway();
    await withPair({}, async ({ client, server }) => {
      const receiver = new MemoryReceiver();
      server.onBlob('test', receiver.open);
      const source = memorySource(seededBytes(2 * MIB, 7));
      await client.send(source);
      const sentOnce = (): number => client.figures.sentBytes - client.figures.resentBytes;
      const before = sentOnce();
      expect(await client.send(source)).toHaveLength(0);
      expect(sentOnce() - before).toBeLessThanOrEqual(MIB / 2);
      expect(client.figures.inFlightBytes).toBe(0);
      expect(receiver.finished).toHaveLength(1);
    });
  });

  it('sends many blobs at once, some refused, some given up', async () => {
    farAway();
    await withPair({}, async ({ client, server }) => {
      const receiver = new MemoryReceiver();
      server.onBlob('test', async (offer) => {
        if (offer.key[0] === 1) throw new Error('not this one');
        return receiver.open(offer);
      });
      const jobs = Array.from({ length: 30 }, (_, index) => {
        const key = Buffer.from([index % 3, index]);
        const stop = new AbortController();
        if (index % 3 === 2) setTimeout(() => stop.abort(), index % 4);
        const source = memorySource(seededBytes(MIB + index, index), { key });
        return client.send(source, { signal: stop.signal }).then(
          () => 'sent',
          (error: Error) => (index % 3 === 0 ? error.message : 'failed'),
        );
      });
      const results = await Promise.all(jobs);
      expect(results.filter((_, index) => index % 3 === 0)).toEqual(Array(10).fill('sent'));
      expect(results.filter((_, index) => index % 3 === 1)).toEqual(Array(10).fill('failed'));
      expect(client.figures.inFlightBytes).toBe(0);
      for (const { offer, bytes } of receiver.finished) {
        expect(bytes.equals(seededBytes(offer.size, offer.key[1] as number))).toBe(true);
      }
      // What was given up before it was answered costs early pieces, nothing else.
      await client.send(memorySource(seededBytes(3 * MIB, 99)));
    });
  });
});

describe('the share of early pieces', () => {
  it('is bounded over all blobs, a quarter of small ones and little of large ones', () => {
    const share = new EarlyShare(true);
    expect(share.take(400 * MIB)).toBe(MIB);
    expect(share.take(4 * MIB)).toBe(0);
    share.answered({ earlyBytes: MIB });
    expect(share.take(MIB)).toBe(MIB / 4);
    expect(share.take(3 * MIB)).toBe(3 * MIB - 9 * (MIB / 4));
    expect(share.take(20 * MIB)).toBe(0);
    expect(new EarlyShare(false).take(MIB)).toBe(0);
  });

  it('frees what is held of a blob that is over', () => {
    const held = new EarlyPieces(VERSION_EARLY);
    const release = vi.fn();
    const frame = (id: number, at: number): Frame =>
      ({ id, offset: at * GROUP, payload: Buffer.alloc(GROUP), release }) as unknown as Frame;
    for (let at = 0; at < 32; at += 1) held.hold(frame(1 + (at % 2), at));
    expect(() => held.hold(frame(3, 0))).toThrow(/too many/);
    held.drop(1);
    expect(release).toHaveBeenCalledTimes(16);
    held.hold(frame(3, 0));
    expect(held.take(3)).toHaveLength(1);
    expect(held.take(3)).toHaveLength(0);
  });
});
