/** States that are decoded into memory of the caller. */
import { describe, expect, it } from 'vitest';
import type { StateEncoderOptions } from '../../src/baseline/baseline.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { patternBytes } from '../engine/samples.js';
import { pair } from './codec-fixture.js';

const BYTES = 400_000;
const noise = patternBytes(BYTES, 1);
const text = Buffer.alloc(BYTES, 'VM_MEMORY_PAGE_CONTENT_');

function changed(state: Buffer, step: number): Buffer {
  const target = Buffer.from(state);
  for (let at = 0; at < target.length; at += step) target.writeUInt8(target.readUInt8(at) ^ 1, at);
  return target;
}

describe('decoding into memory of the caller', () => {
  const kinds: [string, StateEncoderOptions, Buffer][] = [
    ['noise', {}, noise],
    ['text', {}, text],
    ['xor', { engine: 'xor' }, noise],
    ['several segments', { segmentBytes: 1 << 16 }, noise],
    ['page hashes', { keep: 'pages' }, noise],
    ['nothing', {}, Buffer.alloc(0)],
  ];
  it.each(kinds)('gives a view of it, and touches nothing behind: %s', async (_name, options, state) => {
    const { encoder, decoder } = pair(options);
    const into = Buffer.alloc(BYTES + 9, 7).subarray(1);
    for (const wanted of [state, changed(state, 5000), changed(state, 70_000)]) {
      const message = await encoder.encode('k', wanted);
      const { bytes, stateBytes } = await decoder.decode(message.parts, { into });
      expect([bytes.buffer, bytes.byteOffset, bytes.length]).toEqual([into.buffer, into.byteOffset, stateBytes]);
      expect(bytes.equals(wanted)).toBe(true);
      expect(into.subarray(stateBytes).every((byte) => byte === 7)).toBe(true);
      // It belongs to the caller again: the baseline must be another copy.
      into.fill(7);
    }
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it('refuses memory that is too short before it writes there, and memory of others', async () => {
    const { encoder, decoder } = pair({ segmentBytes: 1 << 16 });
    const { parts } = await encoder.encode('k', noise);
    const short = Buffer.alloc(BYTES - 1, 7);
    await expect(decoder.decode(parts, { into: short })).rejects.toMatchObject({
      code: 'DK_LIMIT',
      facts: { expected: BYTES, actual: BYTES - 1 },
    });
    expect(short.every((byte) => byte === 7)).toBe(true);
    const shared = new Uint8Array(new SharedArrayBuffer(BYTES));
    await expect(decoder.decode(parts, { into: shared })).rejects.toThrow(TypeError);
    await expect(decoder.decode(parts, { into: 'text' as never })).rejects.toThrow(TypeError);
    expect((await decoder.decode(parts, { into: Buffer.alloc(BYTES) })).bytes.equals(noise)).toBe(true);
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it('copies bytes that did not compress straight from the message: once, and once for a baseline', async () => {
    const real = loadEngine();
    let copied = 0;
    const nativeEngine: Engine = {
      ...real,
      copyBytes: (data) => {
        copied += data.length;
        return real.copyBytes(data);
      },
      copyRanges: (into, from, ranges) => {
        for (let row = 2; row < ranges.length; row += 3) copied += ranges[row] as number;
        return real.copyRanges(into, from, ranges);
      },
      groupDigest: (data, copy, kind) => {
        if (copy) copied += data.length;
        return real.groupDigest(data, copy, kind);
      },
    };
    const { encoder, decoder } = pair({}, { nativeEngine });
    const { parts, engines } = await encoder.encode('k', noise);
    const { bytes } = await decoder.decode(parts, { into: Buffer.alloc(BYTES) });
    expect([engines, bytes.equals(noise), copied]).toEqual([['raw'], true, 2 * BYTES]);
    await Promise.all([encoder.close(), decoder.close()]);
  });
});
