/** Messages of states in memory: how many at once, and what is left of one that was cut. */
import { describe, expect, it, vi } from 'vitest';
import { DiffKeeperError } from '../../src/core/core.js';
import { FRAME } from '../../src/transport/frame.js';
import { encodeOffer } from '../../src/transport/messages.js';
import { StateInbox } from '../../src/transport/state-inbox.js';
import { type BlobOffer, type BlobSink, createReceiver, createSender } from '../../src/transport/transport.js';
import { frameBytes, RawClient } from './raw-client.js';
import { PLAIN, seededBytes } from './session-fixture.js';
import { TcpProxy } from './tcp-proxy.js';

const MIB = 1 << 20;
const LINK = { trust: PLAIN };
const CUT = new DiffKeeperError('DK_CONNECTION', 'cut');
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function offerOf(key: string, size: number, peer = 'one'): BlobOffer {
  const known = { name: peer, address: 'here', rights: 'append' as const };
  return { service: 'state', key: Buffer.from(key), size, meta: Buffer.from('world'), peer: known };
}

/** An inbox of messages of up to 100 MiB, so 128 MiB are the most, and what it was given. */
function inboxOf(keepMs = 60_000, letGoMs = 60_000): { inbox: StateInbox; taken: Buffer[] } {
  const taken: Buffer[] = [];
  const onState = async (_key: string, message: Buffer): Promise<void> => void taken.push(message);
  return { inbox: new StateInbox({ onState, messageBytesMax: 100 * MIB, keepMs, letGoMs }), taken };
}

async function settled(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => true), pause(20).then(() => false)]);
}

describe('memory for messages', () => {
  it('is bounded for each session: further offers wait in order', async () => {
    const { inbox } = inboxOf();
    const open = inbox.opener();
    const first = await open(offerOf('a', 90 * MIB));
    const second = open(offerOf('b', 60 * MIB));
    const third = open(offerOf('c', 1 * MIB));
    expect(await settled(Promise.race([second, third]))).toBe(false);
    // Another session has a budget of its own.
    await (await inbox.opener()(offerOf('d', 100 * MIB))).abort(CUT);
    await first.finish();
    await (await second).abort(CUT);
    await (await third).finish();
    await expect(open(offerOf('e', 100 * MIB + 1))).rejects.toMatchObject({ code: 'DK_LIMIT' });
  });

  it('is given back when there is none after all', async () => {
    const { inbox } = inboxOf();
    const open = inbox.opener();
    const allocate = vi.spyOn(Buffer, 'allocUnsafe').mockImplementation((size) => {
      if (size === 90 * MIB) throw new RangeError('no memory');
      return Buffer.alloc(size);
    });
    await expect(open(offerOf('a', 90 * MIB))).rejects.toThrow('no memory');
    allocate.mockRestore();
    await (await open(offerOf('a', 90 * MIB))).finish();
  });

  it('of those in one frame is their own: they hold the window that the others need', async () => {
    const { inbox, taken } = inboxOf();
    const open = inbox.opener();
    const large = await open(offerOf('a', 100 * MIB));
    const waiting = open(offerOf('b', 100 * MIB));
    for (let at = 0; at < 20; at += 1) await (await open(offerOf(`small ${at}`, 400 << 10))).finish();
    expect(taken).toHaveLength(20);
    await large.finish();
    await (await waiting).finish();
  });

  it('is not waited for by what was given up', async () => {
    const { inbox } = inboxOf();
    const open = inbox.opener();
    const first = await open(offerOf('a', 90 * MIB));
    const controllers = [new AbortController(), new AbortController()] as const;
    const second = open(offerOf('b', 60 * MIB), controllers[0].signal);
    const same = inbox.opener()(offerOf('a', 90 * MIB), controllers[1].signal);
    const third = open(offerOf('c', MIB));
    expect(await settled(Promise.race([second, same, third]))).toBe(false);
    for (const controller of controllers) controller.abort(CUT);
    await expect(second).rejects.toBe(CUT);
    await expect(same).rejects.toBe(CUT);
    await (await third).finish();
    await first.finish();
    await (await open(offerOf('a', 90 * MIB))).finish();
  });

  it('is not taken by offers alone, whoever makes them', async () => {
    const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link: LINK, onState: async () => {} });
    const client = new RawClient(receiver.port);
    await client.hello();
    const offer = (id: number): Buffer => {
      const body = { service: 'state', key: Buffer.from(`${id}`), size: 64 * MIB, meta: Buffer.alloc(0) };
      return frameBytes(FRAME.offer, encodeOffer(body).finish(), { id });
    };
    for (let id = 1; id <= 40; id += 1) client.write(offer(id));
    client.write(frameBytes(FRAME.ping));
    while (!client.frames.some(({ type }) => type === FRAME.pong)) await pause(5);
    await pause(50);
    expect(client.frames.filter(({ type }) => type === FRAME.accept)).toHaveLength(2);
    client.write(frameBytes(FRAME.abort, Buffer.of(1, 88, 0), { id: 1 }));
    while (client.frames.filter(({ type }) => type === FRAME.accept).length < 3) await pause(5);
    client.socket.destroy();
    await receiver.close(0);
  });
});

describe('a message that was cut', () => {
  const bytes = seededBytes(4 * MIB, 1);
  const write = (sink: BlobSink, start: number, end: number): Promise<void> =>
    sink.write(start, bytes.subarray(start, end));

  it('goes on where it was, for the same peer and the same key', async () => {
    const { inbox, taken } = inboxOf();
    const cut = await inbox.opener()(offerOf('k', bytes.length));
    await write(cut, MIB, 3 * MIB);
    // The next one waits until this one has let go.
    const again = inbox.opener()(offerOf('k', bytes.length));
    expect(await settled(again)).toBe(false);
    await cut.abort(CUT);
    expect((await inbox.opener()(offerOf('k', bytes.length, 'two'))).have).toEqual([]);
    expect((await inbox.opener()(offerOf('other', bytes.length))).have).toEqual([]);
    const sink = await again;
    expect(sink.have).toEqual([[MIB, 2 * MIB]]);
    const back = Buffer.alloc(65_536);
    await sink.read?.(2 * MIB, back);
    expect(back.equals(bytes.subarray(2 * MIB, 2 * MIB + 65_536))).toBe(true);
    await write(sink, 0, MIB);
    await write(sink, 3 * MIB, 4 * MIB);
    await sink.finish();
    expect(taken.map((message) => message.equals(bytes))).toEqual([true]);
    expect((await inbox.opener()(offerOf('k', bytes.length))).have).toEqual([]);
  });

  it('begins anew when its last session does not let go', async () => {
    const { inbox, taken } = inboxOf(60_000, 50);
    const dead = await inbox.opener()(offerOf('k', bytes.length));
    await write(dead, 0, 3 * MIB);
    const sink = await inbox.opener()(offerOf('k', bytes.length));
    expect(sink.have).toEqual([]);
    await write(sink, 0, MIB);
    await dead.abort(CUT);
    // It has less, and another one has the name meanwhile: neither is in the way of what is kept.
    await sink.abort(CUT);
    const last = await inbox.opener()(offerOf('k', bytes.length));
    expect(last.have).toEqual([[0, 3 * MIB]]);
    await write(last, 3 * MIB, 4 * MIB);
    await last.finish();
    expect(taken.map((message) => message.equals(bytes))).toEqual([true]);
  });

  it.each<[string, number, (inbox: StateInbox) => Promise<void>]>([
    ['a while', 100, () => pause(200)],
    ['the end of the receiver', 60_000, async (inbox) => inbox.end()],
    [
      'others that need the place',
      60_000,
      async (inbox) => {
        for (const key of ['x', 'y']) {
          const sink = await inbox.opener()(offerOf(key, 90 * MIB));
          await sink.write(0, bytes);
          await sink.abort(CUT);
        }
      },
    ],
  ])('is forgotten after %s', async (_what, keepMs, happens) => {
    const { inbox } = inboxOf(keepMs);
    const cut = await inbox.opener()(offerOf('k', 90 * MIB));
    await write(cut, 0, MIB);
    await cut.abort(CUT);
    await happens(inbox);
    expect((await inbox.opener()(offerOf('k', 90 * MIB))).have).toEqual([]);
  });

  it('is forgotten at once when its bytes are wrong', async () => {
    const { inbox } = inboxOf();
    const wrong = await inbox.opener()(offerOf('k', bytes.length));
    await write(wrong, 0, bytes.length);
    await wrong.abort(new DiffKeeperError('DK_DIGEST_MISMATCH', 'wrong'));
    expect((await inbox.opener()(offerOf('k', bytes.length))).have).toEqual([]);
  });

  it('is not sent twice by the sender', async () => {
    const messages: Buffer[] = [];
    const onState = async (_key: string, message: Buffer): Promise<void> => void messages.push(message);
    const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link: LINK, onState });
    const proxy = await TcpProxy.start(() => receiver.port);
    const message = seededBytes(24 * MIB, 2);
    proxy.cutAfter = 15 * MIB;
    const sender = await createSender(`tcp://127.0.0.1:${proxy.port}`, { link: LINK });
    await sender.sendState('world', message);
    expect(messages.map((one) => one.equals(message))).toEqual([true]);
    expect(sender.totals.reconnects).toBe(1);
    expect(proxy.sentBytes).toBeLessThan(27 * MIB);
    await sender.close();
    proxy.close();
    await receiver.close(0);
  });
});
