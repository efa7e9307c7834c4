import { describe, expect, it } from 'vitest';
import { TRY } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import type { Extent } from '../../src/format/format.js';
import { PlanNode } from '../../src/store/plan-node.js';
import { stagesOf } from '../../src/store/plan-stages.js';
import { SliceCall } from '../../src/store/slice-call.js';
import { editedBytes, lengthsOf, patternBytes } from '../engine/samples.js';

const MIB = 1 << 20;
let places = 0;

function nodeOf(depth: number, decodedBytes: number, below: readonly PlanNode[] = []): PlanNode {
  places += 1;
  const digest = Buffer.alloc(32, places);
  const node = new PlanNode(`${places}`, {
    ...{ digest, pack: 1, offset: places * MIB, recordBytes: decodedBytes / 4, decodedBytes, depth },
  });
  node.below = below;
  for (const one of below) one.need(0, decodedBytes);
  return node;
}

/** A chain, lowest first. */
function chainOf(links: number, decodedBytes: number): PlanNode[] {
  const nodes: PlanNode[] = [];
  for (let depth = 0; depth < links; depth += 1) nodes.push(nodeOf(depth, decodedBytes, nodes.slice(-1)));
  nodes.at(-1)?.ask(0, decodedBytes, 0);
  return nodes;
}

describe('stages of a plan', () => {
  it('keep each chain together, lowest blob first', () => {
    const [one, other] = [chainOf(4, MIB), chainOf(4, MIB)];
    const { stages, keptBytes } = stagesOf([...other, ...one].reverse());
    expect(keptBytes).toBe(0);
    expect(stages.map(({ nodes, keeps }) => ({ count: nodes.length, keeps }))).toEqual([{ count: 8, keeps: false }]);
    expect(stages[0]?.nodes).toEqual([...one, ...other]);
  });

  it('begin anew when records and results are enough for a call', () => {
    const chains = Array.from({ length: 10 }, () => chainOf(4, MIB));
    // A quarter of the bytes in each record, and the whole of the last blob: 1.75 MiB a chain.
    const { stages } = stagesOf(chains.flat());
    expect(stages.map(({ nodes }) => nodes.length)).toEqual([20, 20]);
    expect(
      stages.every(({ nodes }) =>
        nodes.every((node) => node.below.every((below) => nodes.includes(below as PlanNode))),
      ),
    ).toBe(true);
  });

  it('divide by depth what is too much for one, and say what that keeps', () => {
    const bottom = nodeOf(0, MIB);
    const middle = Array.from({ length: 40 }, () => nodeOf(1, MIB, [bottom]));
    const top = nodeOf(2, MIB, middle);
    const { stages, keptBytes } = stagesOf([top, ...middle, bottom]);
    expect(stages.map(({ nodes, keeps }) => [nodes[0]?.info.depth, nodes.length, keeps])).toEqual([
      [0, 1, true],
      [1, 32, true],
      [1, 8, true],
      [2, 1, true],
    ]);
    expect(keptBytes).toBe(41 * MIB);
  });

  it.each([0, Number.MAX_SAFE_INTEGER])(
    'decode to the same bytes, groups of up to %d bytes being whole',
    async (max) => {
      const engine = loadEngine();
      const target = Buffer.alloc(3 * 30_000);
      const wanted: Buffer[] = [];
      const nodes: PlanNode[] = [];
      let before: { bytes: Buffer; node: PlanNode | null } = { bytes: Buffer.alloc(0), node: null };
      for (let link = 0; link < 6; link += 1) {
        const bytes = link === 0 ? patternBytes(30_000, 1) : editedBytes(before.bytes, link);
        const context = before.bytes.subarray(0, 20_000);
        const { payloads, codecs } = await engine.encodeBlobs({
          ...{
            targets: bytes,
            targetLengths: lengthsOf([bytes]),
            contexts: context,
            contextLengths: lengthsOf([context]),
          },
          ...{ tries: Uint8Array.of(TRY.zstdContext | TRY.xor), level: 3 },
        });
        const digest = engine.digest('blake3', bytes);
        const info = { digest, pack: 1, offset: link * MIB, recordBytes: 99, decodedBytes: bytes.length, depth: link };
        const node = new PlanNode(`${link}`, info);
        const extents: Extent[] = before.node ? [{ digest: before.node.info.digest, offset: 0, length: 20_000 }] : [];
        node.below = before.node ? [before.node] : [];
        before.node?.need(0, 20_000);
        const head = {
          kind: 1,
          codec: codecs[0] ?? 0,
          depth: link,
          contextListBytes: 0,
          payloadBytes: payloads.length,
        };
        node.coded = {
          key: node.key,
          run: payloads,
          context: extents,
          record: { head: { ...head, ...info } as never, contextList: Buffer.alloc(0), payload: payloads },
        };
        // The middle of a chain is asked for as well as its end.
        if (link % 2 === 1) {
          node.ask(10, 20_000, wanted.length * 30_000);
          wanted.push(bytes.subarray(10, 20_010));
        }
        nodes.push(node);
        before = { bytes, node };
      }
      const { stages } = stagesOf(nodes, max);
      expect(stages).toHaveLength(max === 0 ? 6 : 1);
      for (const stage of stages) {
        const call = new SliceCall(target, { keeps: stage.keeps, verify: 'all' });
        for (const node of stage.nodes) call.add(node, node.coded as never);
        const { data, status } = await engine.decodeSlices(call.batch('blake3'));
        expect(status.every((one) => one === 0)).toBe(true);
        call.settle(data, status);
      }
      for (const [index, bytes] of wanted.entries()) {
        expect(target.subarray(index * 30_000, index * 30_000 + 20_000).equals(bytes)).toBe(true);
      }
      // Nothing is held longer than somebody needs it.
      expect(nodes.slice(0, -1).every((node) => node.data === undefined)).toBe(true);
    },
  );
});
