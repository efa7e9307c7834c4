/** Baselines in a store: encoder and decoder go on after a restart, with bytes in memory or only page hashes. */
import { describe, expect, it } from 'vitest';
import { StateDecoder, StateEncoder } from '../../src/baseline/baseline.js';
import { editedBytes, patternBytes } from '../engine/samples.js';
import { BaselineRoom, SEGMENT, state } from './baseline-room.js';

const room = new BaselineRoom();

describe('baselines in a store', () => {
  it.each(['copy', 'pages'] as const)('an encoder goes on with deltas after a restart (%s)', async (keep) => {
    const decoder = new StateDecoder();
    let encoder = new StateEncoder({ store: await room.open(), keep, segmentBytes: SEGMENT });
    const full = await encoder.encode('vm-1', state);
    await decoder.decode(full.parts);
    await encoder.close();
    await room.store.close();
    encoder = new StateEncoder({ store: await room.open(), keep, segmentBytes: SEGMENT });
    for (const seed of [1, 2]) {
      const target = editedBytes(state, seed);
      target.copy(target, 1_250_037, 1_250_000, 2_000_000);
      const message = await encoder.encode('vm-1', target);
      expect([message.kind, message.sourceId]).toEqual(['delta', full.baselineId]);
      expect((await decoder.decode(message.parts)).bytes.equals(target)).toBe(true);
    }
    const answer = await encoder.resync('vm-1');
    expect((await decoder.decode(answer?.parts ?? [])).bytes.equals(state)).toBe(true);
    expect((await encoder.encode('vm-2', state)).kind).toBe('full');
    await Promise.all([encoder.close(), decoder.close()]);
    expect((await room.store.verify()).damage).toEqual([]);
  });

  it('page hashes with a store make deltas of the bytes that changed, not of their pages', async () => {
    const encoder = new StateEncoder({ store: await room.open(), keep: 'pages', segmentBytes: SEGMENT });
    await encoder.encode('vm-1', state);
    const target = Buffer.from(state);
    for (let at = 50_000; at < target.length; at += 200_000) target[at] = (target[at] as number) ^ 1;
    const message = await encoder.encode('vm-1', target);
    expect([message.kind, message.engines]).toEqual(['delta', ['pages']]);
    expect(message.messageBytes).toBeLessThan(500);
    expect(encoder.metrics().baselineMemoryBytes).toBeLessThan(state.length / 200);
    await encoder.close();
  });

  it('a decoder knows its baselines after a restart', async () => {
    const encoder = new StateEncoder();
    let decoder = new StateDecoder({ store: await room.open() });
    await decoder.decode((await encoder.encode('k', state)).parts);
    await decoder.close();
    await room.store.close();
    decoder = new StateDecoder({ store: await room.open(), memoryBytesMax: 2000 });
    const message = await encoder.encode('k', editedBytes(state, 1));
    expect(message.kind).toBe('delta');
    expect((await decoder.decode(message.parts)).bytes.equals(editedBytes(state, 1))).toBe(true);
    await Promise.all([encoder.close(), decoder.close()]);
  });

  it('keeps one baseline per key, replaces it whole, and forgets it when told to', async () => {
    const baselines = await room.open();
    const encoder = new StateEncoder({ store: baselines, deltasMax: 1, segmentBytes: SEGMENT });
    for (let i = 0; i < 5; i += 1) await encoder.encode('k', editedBytes(state, i));
    await encoder.encode('empty', Buffer.alloc(0));
    for await (const _part of encoder.encodeStream('k', Buffer.alloc(3 * SEGMENT))) break;
    const kept = await baselines.load('k');
    expect(kept?.stateBytes).toBe(state.length + 37);
    expect((await kept?.read(0, 1000))?.equals(editedBytes(state, 4).subarray(0, 1000))).toBe(true);
    expect((await baselines.load('empty'))?.stateBytes).toBe(0);
    expect((await room.store.stats()).entries).toBe(2);
    await baselines.remove('k');
    expect(await baselines.load('k')).toBeUndefined();
    await encoder.close();
    expect((await room.store.verify()).damage).toEqual([]);
  });

  it('many keys at once take turns', async () => {
    const encoder = new StateEncoder({ store: await room.open(), statesAtOnce: 8 });
    const keys = Array.from({ length: 12 }, (_, i) => `key-${i}`);
    await Promise.all(keys.map((key, i) => encoder.encode(key, patternBytes(3000, i + 1))));
    expect((await room.store.stats()).entries).toBe(12);
    await encoder.close();
  });
});
