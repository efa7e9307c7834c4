import { describe, expect, it } from 'vitest';
import type { Checkpoint } from '../../src/format/format.js';
import type { Store } from '../../src/store/store.js';
import { CheckpointIndex } from '../../src/ui/checkpoint-index.js';
import { StoreSession } from '../../src/ui/store-session.js';

function checkpoint(sequence: number): Checkpoint {
  const counts = { entries: 1, treeBytes: 1, changed: 1, removed: 0, storedBytes: sequence, changedBytes: 1 };
  const tag = sequence % 10 === 0 ? `Ten ${sequence}` : '';
  return { sequence, timeMs: sequence * 1000, root: Buffer.alloc(32), ...counts, frozen: false, pauseMs: 0, tag };
}

/** A store that has these checkpoints. */
function having(list: { readonly sequences: number[]; looked: number }): Store {
  async function* checkpoints(): AsyncGenerator<Checkpoint> {
    for (const sequence of [...list.sequences].reverse()) {
      list.looked += 1;
      yield checkpoint(sequence);
    }
  }
  return { checkpoints, close: async () => {} } as unknown as Store;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);

describe('the index of checkpoints', () => {
  it('grows at its end, looking at no more than what is new', async () => {
    const list = { sequences: upTo(500), looked: 0 };
    const index = new CheckpointIndex();
    expect(await index.update(having(list))).toBe(500);
    list.sequences.push(501, 502);
    list.looked = 0;
    // Two at once must not list anything twice.
    expect(await Promise.all([index.update(having(list)), index.update(having(list))])).toEqual([2, 0]);
    expect(list.looked).toBe(4);
    expect([index.total, index.generation]).toEqual([502, 0]);
    expect(index.rows(500, 9).map(([sequence]) => sequence)).toEqual([501, 502]);
    expect(index.tagged('TEN 5', 2).map((position) => index.row(position)?.[0])).toEqual([500, 50]);
    expect([index.positionOf(77), index.positionOf(900), index.positionAt(77_500), index.positionAt(-1)]).toEqual([
      76,
      undefined,
      76,
      0,
    ]);
  });

  it('is made anew when history was rewritten', async () => {
    const list = { sequences: upTo(30), looked: 0 };
    const index = new CheckpointIndex();
    await index.update(having(list), true);
    const before = index.generation;
    list.sequences.splice(0, 30, 10, 20, 29);
    await index.update(having(list));
    expect([index.total, index.row(0)?.[0]]).toEqual([3, 10]);
    expect(index.generation).toBeGreaterThan(before);
  });

  it('sums up in as many buckets as are wanted, at most one per checkpoint', async () => {
    const index = new CheckpointIndex();
    expect(index.density(10).stored).toEqual([0]);
    await index.update(having({ sequences: upTo(100), looked: 0 }));
    expect(index.density(4).stored).toEqual([25, 50, 75, 100]);
    expect(index.density(4000).stored).toHaveLength(100);
    expect(index.pauses()).toBeNull();
  });
});

describe('the session', () => {
  it('opens once for many, closes when nobody asks, opens again', async () => {
    let [opened, closed] = [0, 0];
    const session = new StoreSession(async () => {
      opened += 1;
      return {
        path: '/none',
        cachePath: '/none/cache',
        close: async () => {
          closed += 1;
        },
      } as unknown as Store;
    }, 30);
    await Promise.all([session.use(async () => {}), session.use(async () => {})]);
    expect([opened, closed, session.isOpen]).toEqual([1, 0, true]);
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect([opened, closed, session.isOpen]).toEqual([1, 1, false]);
    await session.use(async () => {});
    await session.end();
    expect([opened, closed]).toEqual([2, 2]);
  });

  it('opens again after the store was gone', async () => {
    let opened = 0;
    const session = new StoreSession(async () => {
      opened += 1;
      if (opened === 1) throw Object.assign(new Error('in use'), { code: 'DK_STORE_LOCKED' });
      return { path: '/none', cachePath: '/none/cache', close: async () => {} } as unknown as Store;
    }, 10_000);
    await expect(session.use(async () => {})).rejects.toThrow('in use');
    const { DiffKeeperError } = await import('../../src/core/core.js');
    const gone = session.use(async () => {
      throw new DiffKeeperError('DK_STORE_CLOSED', 'the owner ended');
    });
    await expect(gone).rejects.toThrow('the owner ended');
    expect(await session.use(async () => 'again')).toBe('again');
    expect(opened).toBe(3);
    await session.end();
  });

  it('asks again when the process through which it read has ended, many at once too, and no more than once', async () => {
    const { DiffKeeperError } = await import('../../src/core/core.js');
    let [opened, closed] = [0, 0];
    const session = new StoreSession(async () => {
      opened += 1;
      const owner = opened;
      return {
        path: '/none',
        cachePath: '/none/cache',
        owner,
        close: async () => {
          closed += 1;
        },
      } as unknown as Store;
    }, 10_000);
    const ownerOf = (ended: number) => async (store: Store) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      const { owner } = store as unknown as { owner: number };
      if (owner <= ended) throw new DiffKeeperError('DK_STORE_CLOSED', `owner ${owner} ended`);
      return owner;
    };
    expect(await session.ask(ownerOf(0))).toBe(1);
    expect(await Promise.all([session.ask(ownerOf(1)), session.ask(ownerOf(1)), session.ask(ownerOf(1))])).toEqual([
      2, 2, 2,
    ]);
    expect([opened, closed]).toEqual([2, 1]);
    await expect(session.ask(ownerOf(9))).rejects.toThrow('owner 3 ended');
    await session.end();
    expect([opened, closed]).toEqual([3, 3]);
  });
});
