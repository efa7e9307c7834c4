/** What keeps the state directory when there was no time, or no way, to watch it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LeftOutWarnings } from '../../src/capture/capture.js';
import { silentLogger } from '../../src/core/core.js';
import { Figures } from '../../src/sidecar/figures.js';
import { Heap } from '../../src/sidecar/heap.js';
import { Keeper } from '../../src/sidecar/keeper.js';
import { openStore, type Store } from '../../src/store/store.js';

let place = '';
let store: Store;

beforeEach(async () => {
  place = mkdtempSync(join(tmpdir(), 'dk-keeper-'));
  mkdirSync(join(place, 'data'));
  store = await openStore(join(place, 'keep'), { create: true });
});
afterEach(async () => {
  await store.close();
  rmSync(place, { recursive: true, force: true });
});

function newKeeper(stateDir: string): { keeper: Keeper; figures: Figures; said: string[] } {
  const figures = new Figures();
  const said: string[] = [];
  const logger = { ...silentLogger, debug: (_: object, line: string) => void said.push(line) };
  const warnings = new LeftOutWarnings(logger);
  const keeper = new Keeper({ store, stateDir, figures, heap: new Heap(false), options: { logger }, warnings });
  return { keeper, figures, said };
}

it('takes the final state without having watched, counts it, and says so once there is something', async () => {
  const { keeper, figures, said } = newKeeper(join(place, 'data'));
  writeFileSync(join(place, 'data/f'), 'last words');
  expect(await keeper.finish()).toBe(true);
  expect([store.newest?.sequence, figures.checkpoints, said]).toEqual([1, 1, ['checkpoint']]);
  const again = newKeeper(join(place, 'data'));
  expect(await again.keeper.finish()).toBe(true);
  expect([store.newest?.sequence, again.figures.checkpoints, again.said]).toEqual([1, 0, []]);
});

it('tells when the final state could not be taken', async () => {
  const { keeper, figures } = newKeeper(join(place, 'gone'));
  expect(await keeper.finish()).toBe(false);
  expect([figures.checkpoints, figures.captureFailures, store.newest]).toEqual([0, 1, null]);
});

it('makes whoever asks for a checkpoint right after the start wait until watching has begun', async () => {
  const { keeper } = newKeeper(join(place, 'data'));
  writeFileSync(join(place, 'data/f'), 'early');
  // The control socket is open a little before.
  const asked = keeper.checkpoint('first');
  keeper.start();
  const report = await asked;
  expect(report.checkpoint).toMatchObject({ tag: 'first' });
  expect((await store.heads(['f']))[0]?.size).toBe(5);
  await keeper.finish();
  await expect(keeper.checkpoint()).rejects.toMatchObject({ code: 'DK_STORE_CLOSED' });
});

it('says that nothing is watched when watching could not start, or will not', async () => {
  const { keeper: never } = newKeeper(join(place, 'data'));
  const early = never.checkpoint();
  const refused = expect(early).rejects.toMatchObject({ code: 'DK_STORE_CLOSED' });
  await never.finish();
  await refused;
  const { keeper } = newKeeper(join(place, 'gone'));
  keeper.start();
  await expect(keeper.checkpoint()).rejects.toMatchObject({ code: 'DK_STORE_CLOSED' });
  await keeper.finish();
});

it('tells the code of the system of what the system refused', () => {
  const figures = new Figures();
  figures.failed(Object.assign(new Error('none left'), { code: 'EMFILE' }));
  figures.failed(new Error('whatever'));
  expect([...figures.errorsByCode]).toEqual([
    ['EMFILE', 1],
    ['other', 1],
  ]);
});
