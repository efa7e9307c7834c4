/** `verify` of whole records that say of a content what it is not. */
import { appendFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { digestKey, type Recipe, removedVersion, VERSION_TYPE, type Version } from '../../src/format/format.js';
import { RecipeFit } from '../../src/store/recipe-fit.js';
import { forgeCheckpoint } from './forged-checkpoint.js';
import { commitFiles, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const A = Buffer.alloc(32, 1);
const B = Buffer.alloc(32, 2);
const SHORT = Buffer.alloc(32, 3);
const LONG = Buffer.alloc(32, 4);

function file(name: string, size: number, recipe: Recipe, digest = A): Version {
  return { ...removedVersion(name, 1), type: VERSION_TYPE.file, mode: 0o644, size, digest, recipe };
}

const extent = (digest: Buffer | null, offset: number, length: number) => ({ digest, offset, length });

it('names contents that are not as long as their pieces, blobs before or behind them', () => {
  const lengths = new Map([[digestKey(A), 4]]);
  const fit = new RecipeFit(lengths);
  fit.noteUses(file('whole', 4, { kind: 'whole' }));
  fit.noteUses(file('shorter', 3, { kind: 'whole' }));
  fit.noteUses(file('later', 9, { kind: 'whole' }, B));
  fit.noteUses(file('later longer', 10, { kind: 'whole' }, B));
  fit.noteUses(file('inside', 14, { kind: 'inline', extents: [extent(A, 1, 3), extent(null, 0, 2), extent(B, 0, 9)] }));
  fit.noteUses(file('outside', 4, { kind: 'inline', extents: [extent(A, 1, 4)] }));
  fit.noteUses(file('outside later', 9, { kind: 'inline', extents: [extent(A, 0, 1), extent(B, 2, 8)] }));
  const region = LIMITS.regionBytes;
  fit.noteUses(file('joined', region + 3, { kind: 'regions', regions: [LONG, SHORT] }));
  fit.noteUses(file('joined wrongly', region + 4, { kind: 'regions', regions: [LONG, SHORT] }));
  fit.noteUses(file('missing', 5, { kind: 'whole' }, Buffer.alloc(32, 9)));
  lengths.set(digestKey(B), 9);
  fit.noteRecipe(digestKey(LONG), [extent(null, 0, region)]);
  fit.noteRecipe(digestKey(SHORT), [extent(B, 6, 3)]);
  const named = fit.damage().map(({ where }) => where);
  expect(named.sort()).toEqual(['joined wrongly', 'later longer', 'outside', 'outside later', 'shorter']);
});

it('knows a recipe by what its blobs have', () => {
  const fit = new RecipeFit(new Map([[digestKey(B), 9]]));
  fit.noteUses(file('joined', 3, { kind: 'regions', regions: [SHORT] }));
  fit.noteRecipe(digestKey(SHORT), [extent(B, 7, 3)]);
  expect(fit.damage()).toMatchObject([
    { kind: 'recipe', where: 'joined', affected: [{ path: 'joined', sequence: 1 }] },
  ]);
});

it('is part of verify, and so is what stands below something that is no directory', async () => {
  let store = await fixture.open();
  await commitFiles(store, { good: Buffer.from('good'), other: Buffer.from('other') });
  const [good] = await store.heads(['good']);
  if (!good) throw new Error('nothing was stored');
  const lie = { ...good, path: 'lie', size: 5 };
  const below = { ...good, path: 'good/below' };
  const forged = forgeCheckpoint(store, [lie, below]);
  await store.close();
  await appendFile(fixture.pack(1), forged);
  store = await fixture.open();
  expect(store.newest?.sequence).toBe(2);
  for (const readData of [true, false]) {
    const { damage } = await store.verify({ readData });
    const found = damage.filter(({ kind }) => kind === 'recipe' || kind === 'version');
    expect(found.map(({ kind, affected }) => [kind, affected.map(({ path }) => path)]).sort()).toEqual([
      ['recipe', ['lie']],
      ['version', ['good/below']],
    ]);
  }
});

it('names a recipe that is none, and goes on', async () => {
  const store = await fixture.open();
  const transaction = store.begin();
  const [recipe] = await transaction.storeBlobs([{ bytes: Buffer.from('no list of extents'), kind: 'recipe' }]);
  transaction.put(file('joined', 5, { kind: 'regions', regions: [recipe as Buffer] }));
  await transaction.commit();
  const { damage } = await store.verify();
  expect(damage).toMatchObject([{ kind: 'blob', affected: [{ path: 'joined', sequence: 1 }] }]);
});

it('takes no checkpoint whose moment no date can say', async () => {
  for (const facts of [{ timeMs: Number.NaN }, { timeMs: 1e300 }, { pauseMs: Number.NaN }, { pauseMs: -1 }]) {
    let store = await fixture.open();
    if (!store.newest) await commitFiles(store, { good: Buffer.from('good') });
    const forged = forgeCheckpoint(store, [], facts);
    await store.close();
    await appendFile(fixture.pack(1), forged);
    store = await fixture.open();
    expect([facts, store.newest?.sequence]).toEqual([facts, 1]);
    await store.close();
  }
});
