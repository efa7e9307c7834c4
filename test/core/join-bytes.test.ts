import { describe, expect, it } from 'vitest';
import { joinBytes } from '../../src/core/core.js';

describe('joinBytes', () => {
  const memory = Buffer.from('abcdefgh');

  it('gives a view of neighbours', () => {
    const joined = joinBytes([memory.subarray(1, 3), memory.subarray(3, 3), memory.subarray(3, 6)]);
    expect(Buffer.from(joined).toString()).toBe('bcdef');
    expect([joined.buffer === memory.buffer, joined.byteOffset - memory.byteOffset]).toEqual([true, 1]);
  });

  it('copies what lies apart or in another order', () => {
    const apart = joinBytes([memory.subarray(0, 2), memory.subarray(3, 4)]);
    const swapped = joinBytes([memory.subarray(4, 5), memory.subarray(3, 4), Buffer.from('x')]);
    expect([Buffer.from(apart).toString(), Buffer.from(swapped).toString()]).toEqual(['abd', 'edx']);
    expect(joinBytes([])).toHaveLength(0);
  });
});
