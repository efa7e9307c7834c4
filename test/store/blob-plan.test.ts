import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PlanNode } from '../../src/store/plan-node.js';

const DECODED = 1 << 20;

function nodeOf(wants: readonly (readonly [number, number])[]): { readonly node: PlanNode; readonly bytes: number } {
  const digest = Buffer.alloc(32);
  const info = { digest, pack: 1, offset: 64, recordBytes: 100, decodedBytes: DECODED, depth: 0 };
  const node = new PlanNode('key', info);
  for (const [offset, length] of wants) node.need(offset, length);
  return { node, bytes: node.settle() };
}

describe('slices of a planned blob', () => {
  it('are sorted and merged where they touch or overlap', () => {
    const { node, bytes } = nodeOf([
      [100, 50],
      [0, 10],
      [150, 10],
      [120, 10],
      [10, 5],
      [DECODED - 1, 1],
    ]);
    expect([...node.needs]).toEqual([0, 15, 100, 60, DECODED - 1, 1]);
    expect(bytes).toBe(76);
    expect([node.place(12), node.place(100), node.place(155), node.place(DECODED - 1)]).toEqual([12, 15, 70, 75]);
  });

  it('never leave the blob', () => {
    expect([...nodeOf([[DECODED - 5, 100]]).node.needs]).toEqual([DECODED - 5, 5]);
    expect([...nodeOf([[DECODED, 1]]).node.needs]).toEqual([]);
    expect([...nodeOf([[0, DECODED]]).node.needs]).toEqual([0, DECODED]);
  });

  it('hold exactly the wanted bytes', () => {
    const want = fc.tuple(fc.nat(500), fc.integer({ min: 1, max: 60 }));
    fc.assert(
      fc.property(fc.array(want, { minLength: 1, maxLength: 30 }), (wants) => {
        const { node } = nodeOf(wants);
        const wanted = new Set(wants.flatMap(([offset, length]) => Array.from({ length }, (_, i) => offset + i)));
        const positions: number[] = [];
        for (let i = 0; i < node.needs.length; i += 2) {
          for (let k = 0; k < (node.needs[i + 1] ?? 0); k += 1) positions.push((node.needs[i] ?? 0) + k);
        }
        expect(positions).toEqual([...wanted].sort((one, other) => one - other));
        for (const [index, position] of positions.entries()) expect(node.place(position)).toBe(index);
      }),
    );
  });
});
