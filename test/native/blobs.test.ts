import { describe, expect, it } from 'vitest';
import { CODEC, type DecodeBatch, type EncodedBatch, TRY } from '../../src/engine/engine.js';
import { addon, noise, prose } from './addon-door.js';

interface Item {
  readonly name: string;
  readonly target: Buffer;
  readonly context: Buffer;
  readonly tries: number;
  readonly codec: number;
}

const ALL = TRY.zstd | TRY.zstdContext | TRY.xor;
const none = Buffer.alloc(0);

function edited(bytes: Buffer, places: number[]): Buffer {
  const copy = Buffer.from(bytes);
  for (const at of places) copy[at] = (copy[at] as number) ^ 1;
  return copy;
}

function items(): Item[] {
  const random = noise(300_000, 1);
  const text = prose(100_000, 2);
  const magic = Buffer.concat([Buffer.from('37a430ec', 'hex'), text]);
  return [
    { name: 'empty', target: none, context: none, tries: ALL, codec: CODEC.raw },
    { name: 'noise', target: random, context: none, tries: ALL, codec: CODEC.raw },
    { name: 'noise against other noise', target: random, context: noise(300_000, 8), tries: ALL, codec: CODEC.raw },
    { name: 'text', target: text, context: none, tries: ALL, codec: CODEC.zstd },
    { name: 'text, raw only', target: text, context: none, tries: 0, codec: CODEC.raw },
    { name: 'edited noise', target: edited(random, [5, 9000]), context: random, tries: ALL, codec: CODEC.xor },
    { name: 'shifted noise', target: random.subarray(1000), context: random, tries: ALL, codec: CODEC.zstdContext },
    { name: 'edited text', target: edited(text, [7]), context: text, tries: TRY.zstdContext, codec: CODEC.zstdContext },
    { name: 'dictionary magic', target: magic, context: magic, tries: TRY.zstdContext | TRY.zstd, codec: CODEC.zstd },
    {
      name: 'grown by zeros',
      target: Buffer.concat([random, Buffer.alloc(9000)]),
      context: random,
      tries: TRY.xor,
      codec: CODEC.xor,
    },
    { name: 'one byte', target: Buffer.of(7), context: none, tries: ALL, codec: CODEC.raw },
  ];
}

const lengths = (buffers: Buffer[]): Uint32Array => Uint32Array.from(buffers, (buffer) => buffer.length);

async function encode(list: Item[]): Promise<EncodedBatch> {
  const targets = list.map((item) => item.target);
  const contexts = list.map((item) => item.context);
  return addon.encodeBlobs({
    targets: Buffer.concat(targets),
    targetLengths: lengths(targets),
    contexts: Buffer.concat(contexts),
    contextLengths: lengths(contexts),
    tries: Uint8Array.from(list, (item) => item.tries),
    level: 3,
  });
}

function decodeBatch(list: Item[], encoded: EncodedBatch): DecodeBatch {
  const contexts = list.map((item) => item.context);
  return {
    payloads: encoded.payloads,
    payloadLengths: encoded.payloadLengths,
    codecs: encoded.codecs,
    decodedLengths: lengths(list.map((item) => item.target)),
    contexts: Buffer.concat(contexts),
    contextLengths: lengths(contexts),
    digests: Buffer.concat(list.map((item) => addon.digest('blake3', item.target))),
    algo: 'blake3',
  };
}

describe('blob batches', () => {
  it('chooses as expected and round-trips', async () => {
    const list = items();
    const encoded = await encode(list);
    expect(list.map((item, i) => [item.name, encoded.codecs[i]])).toEqual(list.map((item) => [item.name, item.codec]));
    for (const [i, item] of list.entries()) {
      expect(encoded.payloadLengths[i]).toBeLessThanOrEqual(item.target.length);
    }
    const decoded = await addon.decodeBlobs(decodeBatch(list, encoded));
    expect([...decoded.status]).toEqual(list.map(() => 0));
    expect(decoded.data.equals(Buffer.concat(list.map((item) => item.target)))).toBe(true);
  });

  it('fails only the damaged items, and zeroes their room', async () => {
    const list = items().slice(1, 6);
    const encoded = await encode(list);
    const batch = decodeBatch(list, encoded);
    const payloads = Buffer.from(encoded.payloads);
    payloads[10] = (payloads[10] as number) ^ 1; // inside the raw item
    const text = (encoded.payloadLengths[0] as number) + (encoded.payloadLengths[1] as number);
    payloads.fill(0, text, text + 4); // the frame's magic number
    const codecs = Uint8Array.from(encoded.codecs);
    codecs[3] = 200;
    const decoded = await addon.decodeBlobs({ ...batch, payloads, codecs });
    expect([...decoded.status]).toEqual([2, 0, 1, 1, 0]);
    expect(decoded.data.subarray(0, 300_000).every((byte) => byte === 0)).toBe(true);
  });

  it('survives random damage to every kind of payload', async () => {
    const list = items();
    const encoded = await encode(list);
    const batch = decodeBatch(list, encoded);
    const flips = noise(4 * 60, 77);
    for (let round = 0; round < 60; round += 1) {
      const payloads = Buffer.from(encoded.payloads);
      const at = flips.readUInt32LE(round * 4) % payloads.length;
      // Every other round, hit the small payloads near the end instead of the noise in front.
      const place = round % 2 === 0 ? at : payloads.length - 1 - (at % 4000);
      payloads[place] = (payloads[place] as number) ^ (1 << (round % 8));
      const decoded = await addon.decodeBlobs({ ...batch, payloads });
      expect(decoded.status.some((status) => status !== 0)).toBe(true);
    }
  });

  it('refuses batches whose arrays disagree', async () => {
    const list = items();
    const encoded = await encode(list);
    const batch = decodeBatch(list, encoded);
    const wrong: DecodeBatch[] = [
      { ...batch, payloads: batch.payloads.subarray(1) },
      { ...batch, digests: batch.digests.subarray(32) },
      { ...batch, codecs: batch.codecs.subarray(1) },
      { ...batch, decodedLengths: batch.decodedLengths.subarray(1) },
    ];
    for (const bad of wrong)
      expect(() => addon.decodeBlobs(bad)).toThrow(expect.objectContaining({ code: 'DK_ARGUMENT' }));
    const huge = new Uint32Array(list.length).fill(0xffffffff);
    expect(() => addon.decodeBlobs({ ...batch, decodedLengths: huge })).toThrow(
      expect.objectContaining({ code: 'DK_LIMIT' }),
    );
  });
});
