/** Blobs with quick digests on the wire: what is agreed upon, and that nothing damaged or exchanged gets through. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DiffKeeperError } from '../../src/core/core.js';
import { loadEngine } from '../../src/engine/load.js';
import { GROUP_BYTES } from '../../src/transport/blob-digest.js';
import { FLAG_GROUPS, FRAME } from '../../src/transport/frame.js';
import { digestSeed } from '../../src/transport/greeting.js';
import { listDigest } from '../../src/transport/list-digest.js';
import { encodeOffer, type OfferBody } from '../../src/transport/messages.js';
import { createReceiver, createSender, type DigestKind } from '../../src/transport/transport.js';
import { decodeError } from '../../src/transport/wire-error.js';
import { frameBytes, RawClient } from './raw-client.js';
import { startRawReceiver } from './raw-receiver.js';
import { MemoryReceiver, memorySource, PLAIN, seededBytes, withPair } from './session-fixture.js';

const engine = loadEngine();
const LINK = { trust: PLAIN };
const SIZE = 12 * GROUP_BYTES + 500;
const BYTES = seededBytes(SIZE, 3);
const xxh3 = (data: Uint8Array): bigint => engine.xxh3(data);

const offer = (more: Partial<OfferBody> = {}): Buffer => {
  const body = {
    service: 'test',
    key: Buffer.from('k'),
    size: SIZE,
    digestKind: 'xxh3',
    meta: Buffer.alloc(0),
  } as const;
  return frameBytes(FRAME.offer, encodeOffer({ ...body, ...more }).finish(), { id: 1 });
};

/** A piece as it should be, of whatever bytes. */
function piece(seed: bigint, offset: number, bytes: Buffer): Buffer {
  const hash = xxh3(engine.xxh3Groups(bytes, seed));
  return frameBytes(FRAME.data, bytes, { id: 1, offset, flags: FLAG_GROUPS, hash });
}

function pieces(seed: bigint, bytes: Buffer): Buffer[] {
  const step = 4 * GROUP_BYTES;
  const count = Math.ceil(bytes.length / step);
  return Array.from({ length: count }, (_, at) => piece(seed, at * step, bytes.subarray(at * step, (at + 1) * step)));
}

function flipped(bytes: Buffer, at: number): Buffer {
  const other = Buffer.from(bytes);
  other[at] = (other[at] as number) ^ 1;
  return other;
}

/** What comes of frames that a client sends after its greeting: an answer, or the end of the connection. */
async function outcome(
  frames: (seed: bigint) => Buffer[],
  versionMax = 4,
  digest?: DigestKind,
): Promise<{ readonly what: string; readonly receiver: MemoryReceiver }> {
  const receiver = new MemoryReceiver();
  const onSession = (session: Parameters<Parameters<typeof withPair>[1]>[0]['server']): void =>
    session.onBlob('test', receiver.open);
  let what = 'closed';
  await withPair({ listen: { onSession, ...(digest && { digest }) } }, async ({ listener }) => {
    const client = new RawClient(listener.port);
    const seed = digestSeed(await client.hello(versionMax)) ?? 0n;
    const [first = Buffer.alloc(0), ...rest] = frames(seed);
    client.write(first);
    // No piece before its blob is accepted.
    if (rest.length > 0) expect((await client.next())?.type).toBe(FRAME.accept);
    for (const frame of rest) client.write(frame);
    for (let frame = await client.next(); frame !== undefined; frame = await client.next()) {
      if (frame.type === FRAME.done) what = 'done';
      else if (frame.type === FRAME.reject) what = decodeError(frame.payload).code;
      else continue;
      break;
    }
    client.socket.destroy();
  });
  return { what, receiver };
}

const told = (seed: bigint, bytes = BYTES): Buffer =>
  frameBytes(FRAME.digest, listDigest(engine, seed, bytes), { id: 1 });

describe('a blob with a quick digest', () => {
  it('arrives whole', async () => {
    const { what, receiver } = await outcome((seed) => [offer(), ...pieces(seed, BYTES).reverse(), told(seed)]);
    expect(what).toBe('done');
    expect(receiver.finished[0]?.bytes.equals(BYTES)).toBe(true);
    // A digest of one session says nothing elsewhere.
    expect(receiver.finished[0]?.offer.digest).toBeUndefined();
  });

  it('arrives in frames that are checked as a whole, too', async () => {
    const frame = frameBytes(FRAME.data, BYTES, { id: 1 });
    expect((await outcome((seed) => [offer(), frame, told(seed)])).what).toBe('done');
  });

  const swapped = Buffer.concat([
    BYTES.subarray(4 * GROUP_BYTES, 8 * GROUP_BYTES),
    BYTES.subarray(0, 4 * GROUP_BYTES),
    BYTES.subarray(8 * GROUP_BYTES),
  ]);
  it.each<[string, (seed: bigint) => Buffer[]]>([
    ['a piece changed before it was framed', (seed) => pieces(seed, flipped(BYTES, 300_000))],
    ['its last byte changed', (seed) => pieces(seed, flipped(BYTES, SIZE - 1))],
    ['two pieces exchanged', (seed) => pieces(seed, swapped)],
  ])('is refused with %s, and nothing of it is kept', async (_name, sent) => {
    const { what, receiver } = await outcome((seed) => [offer(), ...sent(seed), told(seed)]);
    expect(what).toBe('DK_DIGEST_MISMATCH');
    expect(receiver.finished).toHaveLength(0);
    expect(receiver.aborted).toHaveLength(1);
  });

  it.each([
    ['of a shorter blob', (seed: bigint) => told(seed, BYTES.subarray(0, SIZE - 1))],
    ['of a longer one', (seed: bigint) => told(seed, Buffer.concat([BYTES, Buffer.alloc(1)]))],
    ['of another session', (seed: bigint) => told(seed ^ 1n)],
  ])('is refused with the digest %s', async (_name, digest) => {
    expect((await outcome((seed) => [offer(), ...pieces(seed, BYTES), digest(seed)])).what).toBe('DK_DIGEST_MISMATCH');
  });

  it('in one frame is refused when its digest is that of other bytes', async () => {
    const small = BYTES.subarray(0, 1000);
    const single = (seed: bigint, of: Buffer): Buffer => {
      const body = {
        service: 'test',
        key: Buffer.from('s'),
        size: 1000,
        digestKind: 'xxh3',
        meta: Buffer.alloc(0),
      } as const;
      const head = encodeOffer({ ...body, digest: listDigest(engine, seed, of) });
      return frameBytes(FRAME.blob, head.bytes(small).finish(), { id: 1 });
    };
    expect((await outcome((seed) => [single(seed, small)])).what).toBe('done');
    expect((await outcome((seed) => [single(seed, flipped(small, 999))])).what).toBe('DK_DIGEST_MISMATCH');
  });
});

describe('a session ends', () => {
  it.each<[string, (seed: bigint) => Buffer[]]>([
    ['a byte of a piece changed on the way', (seed) => [offer(), flipped(pieces(seed, BYTES)[0] as Buffer, 70_000)]],
    ['the check of a piece changed', (seed) => [offer(), flipped(pieces(seed, BYTES)[0] as Buffer, 33)]],
    ['a piece of another session', (seed) => [offer(), ...pieces(seed ^ 1n, BYTES)]],
    ['a digest of the other length', () => [offer(), frameBytes(FRAME.digest, Buffer.alloc(32), { id: 1 })]],
    ['a short digest of a BLAKE3 blob', (seed) => [offer({ digestKind: 'blake3' }), told(seed)]],
    ['flags of groups on a question', () => [frameBytes(FRAME.request, Buffer.from('\x01x'), { id: 1, flags: 1 })]],
  ])('with %s', async (_name, frames) => {
    expect((await outcome(frames)).what).toBe('closed');
  });

  it.each<[string, number, DigestKind | undefined]>([
    ['in version 2', 2, undefined],
    ['at a receiver that wants BLAKE3', 3, 'blake3'],
  ])('with quick digests %s', async (_name, version, digest) => {
    expect((await outcome(() => [offer()], version, digest)).what).toBe('closed');
    const plain = [offer({ digestKind: 'blake3' }), ...pieces(0n, BYTES)];
    expect((await outcome(() => plain, version, digest)).what).toBe('closed');
  });
});

describe('a sender', () => {
  it.each<[number, boolean, DigestKind | undefined, DigestKind]>([
    [3, true, undefined, 'xxh3'],
    [3, true, 'blake3', 'blake3'],
    [3, false, undefined, 'blake3'],
    [2, true, 'xxh3', 'blake3'],
  ])('of version %i, quick %s, told %s, offers %s', async (version, quickDigests, digest, expected) => {
    const receiver = await startRawReceiver({ version, quickDigests }, new DiffKeeperError('DK_LIMIT', 'no'));
    const { url, offers } = receiver;
    try {
      const sender = await createSender(url, { link: LINK, ...(digest && { digest }) });
      const [small, large] = [memorySource(seededBytes(1000, 1)), memorySource(BYTES)];
      const known = memorySource(BYTES, { digest: engine.digest('blake3', BYTES) });
      for (const blob of [small, large, known]) {
        await expect(sender.send(blob)).rejects.toMatchObject({ code: 'DK_LIMIT' });
      }
      expect(offers.map(({ digestKind }) => digestKind)).toEqual([expected, expected, 'blake3']);
      expect(offers[2]?.digest?.equals(known.digest as Buffer)).toBe(true);
      await sender.close();
    } finally {
      receiver.close();
    }
  });

  it.each<[string, (url: string) => Promise<unknown>]>([
    ['a sender', (url) => createSender(url, { link: LINK, digest: 'crc' as DigestKind })],
    ['a receiver', () => createReceiver({ host: '127.0.0.1', port: 0, link: LINK, digest: 'crc' as DigestKind })],
  ])('%s refuses a digest that is none', async (_name, make) => {
    await expect(make('tcp://127.0.0.1:1')).rejects.toBeInstanceOf(RangeError);
  });
});

describe.each<DigestKind>(['xxh3', 'blake3'])('a file with a digest by %s', (digest) => {
  it('that changed between two attempts, unseen by its key, arrives as it is now', async () => {
    const out = await mkdtemp(join(tmpdir(), 'dk-quick-'));
    const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link: LINK, directory: out });
    try {
      const url = `tcp://127.0.0.1:${receiver.port}`;
      const [before, after] = [seededBytes(SIZE, 11), seededBytes(SIZE, 12)];
      const reads: number[] = [];
      const file = (bytes: Buffer, until: number) => ({
        ...memorySource(bytes, { service: 'file', key: Buffer.from('same'), meta: Buffer.from('file') }),
        read: async (offset: number, into: Buffer): Promise<number> => {
          reads.push(offset);
          return offset < until ? bytes.copy(into, 0, offset) : new Promise<number>(() => {});
        },
      });
      const cut = new AbortController();
      const gone = await createSender(url, { link: LINK, digest, signal: cut.signal });
      const taken = (bytes: number): void => {
        if (bytes >= 2 * GROUP_BYTES) cut.abort();
      };
      const first = gone.send(file(before, 6 * GROUP_BYTES), { onProgress: taken });
      await expect(first).rejects.toMatchObject({ code: 'DK_ABORTED' });
      await gone.close();
      const sender = await createSender(url, { link: LINK, digest });
      reads.length = 0;
      await sender.send(file(after, SIZE));
      expect((await readFile(join(out, 'file'))).equals(after)).toBe(true);
      // It went on from what was there, was refused, and began anew.
      expect(reads.filter((offset) => offset === 0).length).toBeGreaterThanOrEqual(2);
      await sender.close();
    } finally {
      await receiver.close(100);
      await rm(out, { recursive: true, force: true });
    }
  });
});
