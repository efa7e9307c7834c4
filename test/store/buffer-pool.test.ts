import { describe, expect, it } from 'vitest';
import { BufferPool } from '../../src/store/buffer-pool.js';

describe('buffer pool', () => {
  it('gives memory out again, once', () => {
    const pool = new BufferPool();
    const first = pool.take(300_000);
    expect(first).toHaveLength(300_000);
    pool.give(first);
    pool.give(first);
    const second = pool.take(400_000);
    expect([second.buffer === first.buffer, second.length]).toEqual([true, 400_000]);
    expect(pool.take(400_000).buffer).not.toBe(second.buffer);
  });

  it('keeps lengths apart and leaves small, huge and foreign buffers alone', () => {
    const pool = new BufferPool();
    for (const bytes of [1000, 50 << 20]) {
      const buffer = pool.take(bytes);
      expect(buffer).toHaveLength(bytes);
      pool.give(buffer);
    }
    const small = pool.take(1 << 20);
    pool.give(small);
    expect(pool.take((1 << 20) + 1).buffer).not.toBe(small.buffer);
    const foreign = Buffer.alloc(1 << 20);
    pool.give(foreign);
    expect([pool.take(1 << 20).buffer, pool.take(1 << 20).buffer]).not.toContain(foreign.buffer);
  });
});
