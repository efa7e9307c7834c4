/** The vector levels of the `align` engine against each other: same bytes out, whatever the processor has. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alignPairs, relatedPair } from '../engine/conformance-align.js';
import { RUNS } from '../engine/samples.js';
import { addon } from './addon-door.js';

const LEVELS = ['portable', 'neon', 'sse2', 'avx2', 'avx512'] as const;
const EFFORTS = ['fast', 'balanced', 'max'] as const;

describe('vector levels', () => {
  it('make the same payload', async () => {
    for (const [name, source, target] of alignPairs()) {
      for (const effort of EFFORTS) {
        const payloads = await Promise.all(LEVELS.map((level) => addon.alignDiff(source, target, effort, level)));
        const digests = payloads.map((payload) => createHash('sha256').update(payload).digest('hex'));
        expect(new Set(digests).size, `${name} ${effort}`).toBe(1);
      }
    }
  });

  it('make the same payload of any related bytes', async () => {
    await fc.assert(
      fc.asyncProperty(relatedPair, fc.nat({ max: 200 }), async ([source, target], skip) => {
        // Cut at any place, so that the vectors are not aligned alike.
        const [from, to] = [source.subarray(Math.min(skip, source.length)), target.subarray(skip >> 1)];
        const payloads = await Promise.all(LEVELS.map((level) => addon.alignDiff(from, to, 'fast', level)));
        for (const payload of payloads) expect(payload.equals(payloads[0] as Buffer)).toBe(true);
      }),
      RUNS,
    );
  });

  it('refuse other names', () => {
    const bytes = Buffer.alloc(1);
    expect(() => addon.alignDiff(bytes, bytes, 'fast', 'mmx')).toThrow(TypeError);
    expect(() => addon.alignDiff(bytes, bytes, 'best' as 'fast')).toThrow(TypeError);
  });
});

describe('long inputs', () => {
  it('go in several windows', async () => {
    const source = Buffer.alloc(80 << 20);
    for (let at = 0; at + 4 <= source.length; at += 4) source.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
    const target = Buffer.concat([source.subarray(50 << 20), Buffer.from('between'), source.subarray(0, 50 << 20)]);
    target.fill(7, 40 << 20, (40 << 20) + 9);
    const payload = await addon.alignDiff(source, target, 'fast');
    expect(payload.length).toBeLessThan(400);
    expect((await addon.alignPatch(source, payload, target.length)).equals(target)).toBe(true);
  });
});
