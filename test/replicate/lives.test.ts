/** Random lives of a source and its replica: commits, prunes of both, cuts, openings; in the end they are equal. */
import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.js';
import { codeOf, noise, putFile } from '../store/store-fixture.js';
import { expectFollows, push, ReplicaFixture } from './replica-fixture.js';

const fixture = new ReplicaFixture();
const STEPS = 30;

/** Numbers from a seed, the same on every machine. */
function dice(seed: number): (sides: number) => number {
  let state = (seed * 2654435761) >>> 0;
  return (sides) => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 374761393) >>> 0;
    return state % sides;
  };
}

async function commitSome(store: Store, roll: (sides: number) => number): Promise<void> {
  const transaction = store.begin();
  for (let edits = 1 + roll(4); edits > 0; edits -= 1) {
    const name = `f${roll(9)}`;
    if (roll(4) === 0) transaction.remove(name);
    // Few contents, so that blobs go and come back.
    else await putFile(store, transaction, name, noise(1 + roll(5) * 40_000, roll(6)));
  }
  await transaction.commit({ tag: roll(6) === 0 ? `tag-${roll(100)}` : '' });
}

async function live(seed: number): Promise<void> {
  const roll = dice(seed);
  const source = await fixture.open(`source-${seed}`);
  let replica = await fixture.open(`replica-${seed}`);
  await commitSome(source, roll);
  for (let step = 0; step < STEPS; step += 1) {
    switch (roll(8)) {
      case 0:
        await source.prune({ keepLast: 1 + roll(3) }, { compactBelow: roll(2) });
        break;
      case 1:
        await replica.prune({ keepLast: 1 + roll(3) }, { compactBelow: roll(2) });
        break;
      case 2:
        replica = await fixture.reopen(replica);
        break;
      case 3: {
        let left = roll(12);
        const cut = (): undefined => {
          left -= 1;
          if (left < 0) throw new Error('cut');
          return undefined;
        };
        await codeOf(() => push(source, replica, { onMessage: cut }));
        break;
      }
      case 4:
        await push(source, replica);
        expect(replica.newest?.root.equals(source.newest?.root as Buffer)).toBe(true);
        break;
      default:
        await commitSome(source, roll);
    }
  }
  await push(source, replica);
  await expectFollows(source, replica, false);
  expect((await replica.rebuildIndex()).damage).toEqual([]);
  await expectFollows(source, await fixture.reopen(replica), false);
}

describe('a random life of a store and its replica', () => {
  it.each(Array.from({ length: Number(process.env.DK_REPLICA_LIVES ?? 5) }, (_, index) => index + 1))(
    'number %i ends with both equal',
    async (seed) => live(seed),
    120_000,
  );
});
