/**
 * Random lives of a store, each step compared with a model. A failing run prints its seed and the shortest list of
 * steps; `npm run soak:store` runs many more.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { loadEngine, loadTwin } from '../../src/engine/load.js';
import type { PrunePolicy } from '../../src/store/store.js';
import { expectSecond } from '../format/second-compare.js';
import { SecondStore } from '../format/second-decoder.js';
import { Harness } from './store-harness.js';
import { type Edit, SHAPES } from './store-model.js';

const RUNS = Number(process.env.DK_STORE_RUNS ?? 30);
const SEED = Number(process.env.DK_STORE_SEED ?? 20_240_607);

type Step = (harness: Harness) => Promise<void>;

const nat = fc.nat({ max: 1_000_000 });
const name = fc.nat({ max: 40 });
const edit: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      name,
      shape: fc.constantFrom(...SHAPES),
      seed: nat,
      attrs: fc.nat({ max: 999 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('edit' as const), name, seed: nat }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('copy' as const, 'rename' as const, 'link' as const),
      name,
      to: name,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), name }) },
);
const edits = fc.array(edit, { maxLength: 12 });

const policy: fc.Arbitrary<PrunePolicy> = fc.oneof(
  fc.record({ keepLast: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ keepTags: fc.constant(['tag']) }),
  fc.record({ keepLast: fc.integer({ min: 1, max: 2 }), keepTags: fc.constant(['*']) }),
);

/** A step that shows what it is when a run fails. */
function step<T>(
  title: string,
  facts: fc.Arbitrary<T>,
  run: (harness: Harness, facts: T) => Promise<void>,
): fc.Arbitrary<Step> {
  return facts.map((value) =>
    Object.assign((harness: Harness) => run(harness, value), {
      [fc.toStringMethod]: () => `${title} ${fc.stringify(value)}`,
    }),
  );
}

const steps = fc.oneof(
  {
    weight: 10,
    arbitrary: step('commit', fc.tuple(edits, fc.constantFrom('', '', 'tag')), (on, [list, tag]) =>
      on.commit(list, tag),
    ),
  },
  { weight: 2, arbitrary: step('abort', edits, (on, list) => on.abort(list)) },
  { weight: 2, arbitrary: step('reopen', fc.nat({ max: 1 }), (on, engine) => on.reopen(engine)) },
  { weight: 2, arbitrary: step('kill', edits, (on, list) => on.kill(list)) },
  {
    weight: 4,
    arbitrary: step('prune', fc.tuple(policy, edits, fc.constantFrom(0, 0.5, 1)), (on, [keep, list, below]) =>
      on.prune(keep, list, below),
    ),
  },
  { weight: 2, arbitrary: step('rotate', fc.boolean(), (on, half) => on.rotate(half)) },
  { weight: 1, arbitrary: step('repair', fc.constant(0), (on) => on.repair()) },
  {
    weight: 1,
    arbitrary: step('lose', fc.constantFrom('all' as const, 'CURRENT' as const, 'logs' as const), (on, how) =>
      on.loseMetadata(how),
    ),
  },
  { weight: 1, arbitrary: step('tear', fc.integer({ min: 1, max: 3000 }), (on, bytes) => on.tearTail(bytes)) },
  { weight: 1, arbitrary: step('cut', fc.double({ min: 0, max: 1, noNaN: true }), (on, share) => on.cutTail(share)) },
  { weight: 2, arbitrary: step('flip metadata', fc.tuple(nat, nat), (on, [file, at]) => on.flipMetadata(file, at)) },
  { weight: 2, arbitrary: step('flip pack', fc.tuple(nat, nat), (on, [pack, at]) => on.flipPack(pack, at)) },
);

/** Key files of 32 bytes cost no time; what a passphrase does is in `encrypted.test.ts`. */
const KEY = { keyBytes: Buffer.alloc(32, 'key') };

async function live(list: readonly Step[], encrypt: boolean): Promise<void> {
  const base = await mkdtemp(path.join(tmpdir(), 'dk-life-'));
  const harness = await Harness.create(base, [loadEngine(), loadTwin()], encrypt ? { encrypt, key: KEY } : {});
  try {
    for (const one of list) await one(harness);
    await harness.expectAll();
    expectSecond(await SecondStore.open(harness.root, encrypt ? KEY : undefined), harness.model);
  } finally {
    await harness.close();
    await rm(base, { recursive: true, force: true });
  }
}

// Nothing here depends on being quick: a life that fails once, with this key or these nonces, is a defect.
describe('a store', { retry: 0 }, () => {
  it.each([
    ['is', false, RUNS],
    ['that is encrypted is', true, Math.ceil(RUNS / 3)],
  ] as const)(
    '%s what a simple model says, whatever happens to it',
    async (_title, encrypt, runs) => {
      const life = fc.array(steps, { minLength: 1, maxLength: 16, size: 'max' });
      await fc.assert(
        fc.asyncProperty(life, (list) => live(list, encrypt)),
        {
          numRuns: runs,
          seed: SEED,
          // In CI the life that fails is enough; looking for a shorter one takes long.
          endOnFailure: process.env.CI !== undefined,
        },
      );
    },
    60_000 + RUNS * 20_000,
  );
});
