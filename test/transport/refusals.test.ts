/** What a listener does with those who break the rules: it ends them, and nobody else. */
import { describe, expect, it } from 'vitest';
import { FRAME } from '../../src/transport/frame.js';
import { encodeJoin, joinToken } from '../../src/transport/greeting.js';
import { decodeError } from '../../src/transport/wire-error.js';
import { frameBytes, offerBytes, RawClient } from './raw-client.js';
import { MemoryReceiver, memorySource, type Pair, seededBytes, withPair } from './session-fixture.js';

const MIB = 1 << 20;

/** Runs against a listener with a session of somebody else, which must not notice. */
function withVictim(
  body: (port: number, pair: Pair) => Promise<void>,
  listen: Parameters<typeof withPair>[0]['listen'] = {},
): Promise<void> {
  const receiver = new MemoryReceiver();
  const onSession = (session: Pair['server']): void => session.onBlob('test', receiver.open);
  return withPair({ listen: { handshakeMs: 300, ...listen, onSession } }, async (pair) => {
    await body(pair.listener.port, pair);
    await pair.client.send(memorySource(seededBytes(2 * MIB, 9)));
    expect(receiver.finished).toHaveLength(1);
  });
}

async function refusal(client: RawClient): Promise<string> {
  const frame = await client.next();
  if (frame === undefined) return 'closed';
  expect(frame.type).toBe(FRAME.refused);
  await client.closed;
  return decodeError(frame.payload).code;
}

function damaged(bytes: Buffer, at: number, value: number): Buffer {
  bytes[at] = value;
  return bytes;
}

describe('a connection', () => {
  it.each([
    ['garbage', Buffer.from('GET / HTTP/1.1\r\nHost: here\r\nAccept: everything there is\r\n\r\n'), 'closed'],
    ['a damaged header', damaged(frameBytes(FRAME.hello, Buffer.of(1, 1, 255, 255, 255, 31)), 9, 1), 'closed'],
    ['a damaged payload', damaged(frameBytes(FRAME.hello, Buffer.of(1, 1, 255, 255, 255, 31)), 49, 2), 'closed'],
    ['an unknown version', frameBytes(FRAME.hello, Buffer.of(99, 100, 255, 255, 255, 31)), 'DK_PROTOCOL'],
    ['a window of nothing', frameBytes(FRAME.hello, Buffer.of(1, 1, 0)), 'DK_PROTOCOL'],
    ['a greeting cut short', frameBytes(FRAME.hello, Buffer.of(1)), 'DK_PROTOCOL'],
    ['data before a greeting', frameBytes(FRAME.data, Buffer.alloc(10), { id: 1 }), 'closed'],
    ['a question before a greeting', frameBytes(FRAME.request, Buffer.from('\x01x'), { id: 1 }), 'closed'],
    ['a welcome', frameBytes(FRAME.welcome, Buffer.alloc(60)), 'DK_PROTOCOL'],
    ['a join of no session', frameBytes(FRAME.join, Buffer.alloc(36)), 'DK_REFUSED'],
  ])('that begins with %s is ended', (_name, bytes, expected) =>
    withVictim(async (port) => {
      const client = new RawClient(port);
      client.write(bytes);
      expect(await refusal(client)).toBe(expected);
    }),
  );

  it('that says nothing, or a byte now and then, is ended in time', () =>
    withVictim(async (port, { listener }) => {
      const silent = new RawClient(port);
      const slow = new RawClient(port);
      const hello = frameBytes(FRAME.hello, Buffer.of(1, 1, 255, 255, 255, 31));
      let at = 0;
      const timer = setInterval(() => slow.write(hello.subarray(at, ++at)), 20);
      await Promise.all([refusal(silent), refusal(slow)]);
      clearInterval(timer);
      expect(listener.refusals.get('timeout')).toBe(2);
    }));

  it('too many is cut, and sessions are counted', () =>
    withVictim(
      async (port) => {
        const client = new RawClient(port);
        client.write(frameBytes(FRAME.hello, Buffer.of(1, 1, 255, 255, 255, 31)));
        expect(await refusal(client)).toBe('DK_LIMIT');
        const crowd = Array.from({ length: 12 }, () => new RawClient(port));
        await Promise.any(crowd.map((one) => one.closed));
        for (const one of crowd) one.socket.destroy();
      },
      { sessionsMax: 1, connectionsMax: 8 },
    ));
});

describe('a stream', () => {
  it('joins with each token once, and with none but its own', () =>
    withVictim(async (port) => {
      const client = new RawClient(port);
      const { sessionId, secret } = await client.hello();
      const join = async (number: number, tokenOf: number, id = sessionId): Promise<string> => {
        const stream = new RawClient(port);
        const token = joinToken(secret, sessionId, tokenOf);
        stream.write(frameBytes(FRAME.join, encodeJoin({ sessionId: id, number, token })));
        const frame = await stream.next();
        return frame?.type === FRAME.joined ? 'joined' : decodeError((frame as NonNullable<typeof frame>).payload).code;
      };
      expect(await join(5, 5)).toBe('joined');
      expect(await join(5, 5)).toBe('DK_REFUSED');
      expect(await join(6, 7)).toBe('DK_REFUSED');
      expect(await join(65_536, 65_536)).toBe('DK_REFUSED');
      expect(await join(8, 8, Buffer.alloc(16))).toBe('DK_REFUSED');
      expect(await join(6, 6)).toBe('joined');
      client.socket.destroy();
    }));
});

describe('a session', () => {
  const OFFER = frameBytes(FRAME.offer, offerBytes(4 * MIB), { id: 1 });
  const piece = (offset: number, length: number, id = 1): Buffer =>
    frameBytes(FRAME.data, Buffer.alloc(length, 1), { id, offset });
  it.each<[string, Buffer[]]>([
    ['a second greeting', [frameBytes(FRAME.hello, Buffer.of(1, 1, 0))]],
    ['a piece of no blob', [piece(0, 65536, 7)]],
    ['a piece beyond the blob', [OFFER, piece(4 * MIB, 65536)]],
    ['a piece that begins in a group', [OFFER, piece(100, 65536)]],
    ['a piece that ends in a group', [OFFER, piece(0, 65537)]],
    ['a piece that overlaps others', [OFFER, piece(0, 65536), piece(0, 131072)]],
    ['an empty piece', [OFFER, piece(0, 0)]],
    ['a blob offered twice', [OFFER, OFFER]],
    ['an offer of too much', [frameBytes(FRAME.offer, offerBytes(2 ** 45), { id: 1 })]],
    ['an offer cut short', [frameBytes(FRAME.offer, offerBytes(5).subarray(0, 6), { id: 1 })]],
    [
      'two digests',
      [
        OFFER,
        frameBytes(FRAME.digest, Buffer.alloc(32, 1), { id: 1 }),
        frameBytes(FRAME.digest, Buffer.alloc(32, 2), { id: 1 }),
      ],
    ],
    ['a digest of a wrong length', [frameBytes(FRAME.digest, Buffer.alloc(31), { id: 1 })]],
    ['a goodbye nobody asked for', [frameBytes(FRAME.closed)]],
    [
      'a blob in one frame without a digest',
      [frameBytes(FRAME.blob, Buffer.concat([offerBytes(3), Buffer.from('abc')]), { id: 1 })],
    ],
    ['more acknowledgements than fit', [frameBytes(FRAME.ack, Buffer.of(255, 255, 127))]],
  ])('that sends %s is ended', (_name, frames) =>
    withVictim(async (port, { listener }) => {
      const client = new RawClient(port);
      await client.hello();
      for (const frame of frames) {
        client.write(frame);
        // What follows an offer follows its acceptance.
        if (frame === OFFER) await client.next();
      }
      await client.closed;
      expect(listener.sessions.size).toBe(1);
    }),
  );

  it('that sends more than its window is ended, and its memory is given back', () =>
    withVictim(
      async (port, { listener }) => {
        const client = new RawClient(port);
        const stuck = new MemoryReceiver();
        let release = (): void => {};
        const held = new Promise<void>((resolve) => {
          release = resolve;
        });
        stuck.beforeWrite = () => held;
        await client.hello();
        [...listener.sessions].at(-1)?.onBlob('test', stuck.open);
        client.write(frameBytes(FRAME.offer, offerBytes(64 * MIB), { id: 1 }));
        await client.next();
        for (let at = 0; at < 6; at += 1) client.write(piece(at * MIB, MIB));
        await client.closed;
        release();
        while (stuck.aborted.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      },
      { windowBytes: 2 * MIB },
    ));

  it('that asks too much at once is ended', () =>
    withVictim(async (port, { listener }) => {
      const client = new RawClient(port);
      await client.hello();
      [...listener.sessions].at(-1)?.onRequest('never', () => new Promise(() => {}));
      for (let id = 1; id < 600; id += 1) {
        client.write(frameBytes(FRAME.request, Buffer.from('\x05never'), { id }));
        client.write(frameBytes(FRAME.cancel, undefined, { id }));
      }
      await client.closed;
    }));
});
