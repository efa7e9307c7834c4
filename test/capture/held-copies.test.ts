/** Room for copies of large files while the application stands still. */
import { expect, it } from 'vitest';
import { copyChanged } from '../../src/capture/held-copies.js';
import { HOLD_BYTES, HoldMemory } from '../../src/capture/hold-memory.js';
import type { OpenedLarge } from '../../src/capture/large-files.js';

it('nothing is taken, and nothing fails, when small files have used up more than the room', async () => {
  const hold = async (): Promise<never> => {
    throw new Error('there is no room');
  };
  const opened = { scan: { hold } } as unknown as OpenedLarge;
  const memory = new HoldMemory();
  const files = [1 << 10, 2 << 20, 1 << 30].map((size) => ({ opened, size }));
  expect(await copyChanged(files, { room: -5000, memory })).toEqual([undefined, undefined, undefined]);
});

it.each([
  [8 << 20, [8 << 20, 3 << 20]],
  [Number.POSITIVE_INFINITY, [undefined, undefined]],
])(
  'each file is compared once, whether what changed (%s bytes) is more than was expected or does not fit',
  async (bytes, held) => {
    const memory = new HoldMemory();
    // As much as the freeze point before took: little.
    memory.take(1 << 20);
    memory.prepare();
    let compared = 0;
    const opened = (changed: number) => {
      const hold = async (into: Uint8Array) => {
        compared += 1;
        return changed <= into.length ? { heldBytes: changed } : undefined;
      };
      return { scan: { hold }, table: {} } as unknown as OpenedLarge;
    };
    const files = [
      { opened: opened(bytes), size: 40 << 20 },
      { opened: opened(bytes === 8 << 20 ? 3 << 20 : bytes), size: 50 << 20 },
    ];
    expect(await copyChanged(files, { room: HOLD_BYTES, memory })).toEqual(held);
    expect(compared).toBe(2);
  },
);

it('a file as long as a table of a database becomes is compared, too; a longer one is not', async () => {
  const compared: number[] = [];
  const file = (size: number) => {
    const hold = async (into: Uint8Array) => {
      compared.push(size);
      return into.length >= 1 << 20 ? { heldBytes: 1 << 20 } : undefined;
    };
    return { opened: { scan: { hold }, table: {} } as unknown as OpenedLarge, size };
  };
  const files = [300 << 20, 1 << 30, (1 << 30) + 1].map(file);
  const held = await copyChanged(files, { room: HOLD_BYTES, memory: new HoldMemory() });
  expect(held).toEqual([1 << 20, 1 << 20, undefined]);
  expect(compared).toEqual([300 << 20, 1 << 30]);
});

it('a file that cannot be compared is taken only where all of it has room', async () => {
  const taken: number[] = [];
  const file = (size: number, table?: object) => {
    const hold = async () => {
      taken.push(size);
      return { heldBytes: size };
    };
    return { opened: { scan: { hold }, table } as unknown as OpenedLarge, size };
  };
  const room = { room: HOLD_BYTES, memory: new HoldMemory() };
  expect(await copyChanged([file(300 << 20)], room)).toEqual([undefined]);
  expect(await copyChanged([file(300 << 20, {})], { ...room, compares: false })).toEqual([undefined]);
  expect(await copyChanged([file(2 << 20), file(3 << 20, {})], { ...room, compares: false })).toEqual([
    2 << 20,
    3 << 20,
  ]);
  expect(taken).toEqual([2 << 20, 3 << 20]);
});

it('memory is kept for what is expected, and no two files share any', () => {
  const memory = new HoldMemory();
  for (const wanted of [20 << 20, 64 << 20, 100, 5 << 20, 0, 0, 7]) {
    memory.prepare();
    const one = memory.take(wanted);
    const two = memory.offer(1000);
    one.fill(1);
    two?.fill(2);
    expect(one.every((byte) => byte === 1)).toBe(true);
    if (two) memory.keep(500, true);
    const three = memory.take(1000).fill(3);
    expect(two?.subarray(0, 500).every((byte) => byte === 2) ?? true).toBe(true);
    expect(three).toHaveLength(1000);
  }
});
