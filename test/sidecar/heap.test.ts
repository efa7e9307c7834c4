import { setImmediate as nextTurn } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { growthPercent, Heap } from '../../src/sidecar/heap.js';

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

const MEGABYTE = 1 << 20;

it('collects only when much has piled up', async () => {
  const heap = new Heap(true);
  heap.collect();
  const held = new WeakRef(Buffer.alloc(10));
  await nextTurn();
  heap.tidy();
  await nextTurn();
  expect(held.deref()).toBeDefined();
  await nextTurn();
  // Memory outside of the heap counts as well.
  const much = Buffer.alloc(32 * MEGABYTE);
  heap.tidy();
  await nextTurn();
  expect(held.deref()).toBeUndefined();
  expect(much.length).toBe(32 * MEGABYTE);
});

it('gives a small heap 64 MB of room, and a large one in proportion', () => {
  expect(growthPercent(10 * MEGABYTE)).toBe(640);
  expect(growthPercent(64 * MEGABYTE)).toBe(100);
  expect(growthPercent(1024 * MEGABYTE)).toBe(40);
  expect(growthPercent(0)).toBe(1600);
});
