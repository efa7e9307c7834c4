import { setImmediate as nextTurn } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { Heap } from '../../src/sidecar/heap.js';

it('collects what nobody holds any more, and gives the collector to nobody else', async () => {
  const heap = new Heap(true);
  const held = Buffer.alloc(10);
  const kept = new WeakRef(held);
  const dropped = new WeakRef(Buffer.alloc(10));
  // What a WeakRef was made for stays until the end of the turn.
  await nextTurn();
  heap.collect();
  await nextTurn();
  heap.collect();
  expect([kept.deref(), dropped.deref()]).toEqual([held, undefined]);
  expect(runInNewContext('typeof gc')).toBe('undefined');
});
