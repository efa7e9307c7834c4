/** Baselines in a store outlive a change of the kind of digest that encoders use. */
import { describe, expect, it } from 'vitest';
import { StateDecoder, type StateDigest, StateEncoder } from '../../src/baseline/baseline.js';
import { editedBytes } from '../engine/samples.js';
import { BaselineRoom, SEGMENT, state } from './baseline-room.js';

const room = new BaselineRoom();
const next = editedBytes(state, 3);
const DIGITS: Readonly<Record<StateDigest, number>> = { xxh3: 32, blake3: 64, sha256: 64 };

async function storedBy(digest: StateDigest, segmentBytes: number): Promise<Buffer> {
  const encoder = new StateEncoder({ store: await room.open(), digest, segmentBytes });
  const full = (await encoder.encode('k', state)).toBuffer();
  await encoder.close();
  await room.store.close();
  return full;
}

describe.each([
  ['blake3', 'xxh3'],
  ['sha256', 'xxh3'],
  ['sha256', 'blake3'],
] as const)('a baseline that was kept with %s, and an encoder of %s', (before, after) => {
  it.each([SEGMENT, 16 * SEGMENT])('goes on with deltas, in segments of %d bytes', async (segmentBytes) => {
    const full = await storedBy(before, segmentBytes);
    const decoder = new StateDecoder();
    await decoder.decode(full);
    const encoder = new StateEncoder({ store: await room.open(), digest: after, segmentBytes });
    const delta = await encoder.encode('k', next);
    expect([delta.kind, delta.sourceDigest?.length, delta.targetDigest.length]).toEqual([
      'delta',
      DIGITS[before],
      DIGITS[after],
    ]);
    expect((await decoder.decode(delta.toBuffer())).bytes.equals(next)).toBe(true);

    const asked = new StateDecoder();
    await expect(asked.decode(delta.toBuffer())).rejects.toMatchObject({
      code: 'DK_BASELINE_MISSING',
      facts: { expected: delta.sourceDigest },
    });
    const answer = await encoder.resync('k');
    expect(answer?.targetDigest).toBe(delta.sourceDigest);
    await asked.decode(answer?.toBuffer() ?? Buffer.alloc(0));
    expect((await asked.decode(delta.toBuffer())).bytes.equals(next)).toBe(true);
    await Promise.all([encoder.close(), decoder.close(), asked.close()]);
  });

  it('is found by a decoder that kept it', async () => {
    const encoder = new StateEncoder({ digest: before });
    const first = new StateDecoder({ store: await room.open() });
    await first.decode((await encoder.encode('k', state)).toBuffer());
    const delta = await encoder.encode('k', next);
    await Promise.all([first.close(), encoder.close()]);
    await room.store.close();
    const second = new StateDecoder({ store: await room.open() });
    expect((await second.decode(delta.toBuffer())).bytes.equals(next)).toBe(true);
    await second.close();
  });
});

it('a baseline that was kept with a quick digest is none for who asks for a strong one', async () => {
  await storedBy('xxh3', SEGMENT);
  const encoder = new StateEncoder({ store: await room.open(), digest: 'blake3', segmentBytes: SEGMENT });
  expect(await encoder.resync('k')).toBeUndefined();
  const full = await encoder.encode('k', next);
  // A message as older releases read it.
  expect([full.kind, full.toBuffer()[4]]).toEqual(['full', 1]);
  expect((await encoder.encode('k', state)).kind).toBe('delta');
  await encoder.close();
});
