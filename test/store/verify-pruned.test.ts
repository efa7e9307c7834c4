/** `verify` of a store whose prune left records behind that nothing needs. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { encodePackHeader } from '../../src/format/format.js';
import { commitFiles, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const MB = 1 << 20;

it('takes a recipe that no version needs for no damage when its blobs are gone', async () => {
  const state = path.join(fixture.base, 'state');
  await mkdir(state);
  const store = await fixture.open();
  // A pack and a bit: the second one is needed, and stays as it is, with the recipe of the second version.
  const bytes = noise(66 * MB, 1);
  await writeFile(path.join(state, 'big'), bytes);
  await capture(store, state);
  const page = noise(4096, 2);
  for (let i = 0; i < 600; i += 1) bytes.set(page, ((i * 7919) % 16_896) * 4096);
  await writeFile(path.join(state, 'big'), bytes);
  await capture(store, state);
  await rm(path.join(state, 'big'));
  await writeFile(path.join(state, 'small'), 'x');
  await capture(store, state);
  expect((await store.prune({ keepLast: 1 }, { compactBelow: 0 })).removedPacks).toBeGreaterThan(0);
  const { damage, blobs } = await store.verify();
  expect(blobs).toBeGreaterThan(1);
  expect(damage).toEqual([]);
  expect((await store.verify({ readData: false })).damage).toEqual([]);
  await store.close();
}, 60_000);

it('tells of a pack with a damaged header that nothing was written to while it is there, which is until the next opening', async () => {
  let store = await fixture.open();
  await commitFiles(store, { file: noise(3000, 1) });
  // As a prune leaves it that has closed the log and then has nothing to drop.
  const id = Buffer.from(store.id, 'hex');
  const header = encodePackHeader(2, id, (bytes) => store.engine.xxh3(bytes));
  header[0] = (header[0] as number) ^ 1;
  await writeFile(fixture.pack(2), header);
  const { damage } = await store.verify();
  expect(damage.map(({ where }) => where)).toEqual(['00000002.dkp at byte 0']);
  await store.close();
  store = await fixture.open();
  expect(await readdir(path.join(fixture.root, 'packs'))).toEqual(['00000001.dkp']);
  expect((await store.verify()).damage).toEqual([]);
  await commitFiles(store, { file: noise(3000, 2) });
  await store.close();
});
