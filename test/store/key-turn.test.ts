/** Changes of the keys of one store at the same time: each counts, and the last key stays. */
import { renameSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { holdName } from '../../src/core/core.js';
import { changeKeys } from '../../src/store/key-turn.js';
import { addStoreKey, changeStoreKey, listStoreKeys, openStore, removeStoreKey } from '../../src/store/store.js';
import { ensureBuilt, runCli } from '../cli/cli-process.js';
import { codeOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const KEYS = [1, 2, 3, 4].map((seed) => ({ keyBytes: noise(32, seed) }));
const [first, second, third, fourth] = KEYS as [(typeof KEYS)[0], (typeof KEYS)[0], (typeof KEYS)[0], (typeof KEYS)[0]];
beforeAll(ensureBuilt, 120_000);

/** What opens the store, of the four. */
async function opening(): Promise<number[]> {
  const codes = await Promise.all([0, 1, 2, 3].map((index) => codeOf(() => tryKey(index))));
  return codes.flatMap((code, index) => (code === 'no error' ? [index + 1] : []));
}

async function tryKey(index: number): Promise<void> {
  await changeStoreKey(fixture.root, KEYS[index] as (typeof KEYS)[0], KEYS[index] as (typeof KEYS)[0]);
}

it('adding, replacing and removing side by side lose nothing', async () => {
  const owner = await fixture.open({ encrypt: true, key: first });
  await Promise.all([second, third].map((key) => addStoreKey(fixture.root, first, key)));
  const facts = await listStoreKeys(fixture.root);
  expect(facts.map(({ id }) => id)).toEqual([1, 2, 3]);
  expect(await opening()).toEqual([1, 2, 3]);
  await Promise.all([
    addStoreKey(fixture.root, first, fourth),
    changeStoreKey(fixture.root, second, { keyBytes: noise(32, 5) }),
  ]);
  expect(await opening()).toEqual([1, 3, 4]);
  await owner.close();
});

it('two that remove each other leave one', async () => {
  await (await fixture.open({ encrypt: true, key: first })).close();
  await addStoreKey(fixture.root, first, second);
  const codes = await Promise.all([
    codeOf(() => removeStoreKey(fixture.root, first, 2)),
    codeOf(() => removeStoreKey(fixture.root, second, 1)),
  ]);
  expect(codes.sort()).toEqual(['DK_KEY_WRONG', 'no error']);
  expect(await opening()).toHaveLength(1);
});

it('two programs at the same time lose nothing', async () => {
  await (await fixture.open({ encrypt: true, key: first })).close();
  await Promise.all(KEYS.map(({ keyBytes }, index) => writeFile(path.join(fixture.base, `key${index}`), keyBytes)));
  const add = (index: number) =>
    runCli(['key', 'add', '--store=keep', '--key-file=key0', `--new-key-file=key${index}`], { cwd: fixture.base });
  for (const { code, stderr } of await Promise.all([add(1), add(2), add(3)])) expect([code, stderr]).toEqual([0, '']);
  expect(await opening()).toEqual([1, 2, 3, 4]);
}, 30_000);

it('a change by who cannot be kept out meanwhile is not written over', async () => {
  await (await fixture.open({ encrypt: true, key: first })).close();
  const files = ['KEYS', 'KEYS.copy'].map((name) => path.join(fixture.root, name));
  const before = await readFile(files[0] as string);
  await addStoreKey(fixture.root, first, second);
  const after = await readFile(files[0] as string);
  for (const file of files) await writeFile(file, before);
  // As in another container: the other change comes when ours has read the files.
  const slow = { passphrase: 'slow', cost: 17 };
  const ours = addStoreKey(fixture.root, first, slow);
  await new Promise((resolve) => setTimeout(resolve, 5));
  for (const file of files) {
    writeFileSync(`${file}.theirs`, after);
    renameSync(`${file}.theirs`, file);
  }
  await ours;
  expect(await opening()).toEqual([1, 2]);
  await (await openStore(fixture.root, { key: slow })).close();
});

it('a reader mends nothing while keys are being changed, and whoever fails gives the turn back', async () => {
  await (await fixture.open({ encrypt: true, key: first })).close();
  const copy = path.join(fixture.root, 'KEYS.copy');
  const whole = await readFile(copy);
  await changeKeys(fixture.root, async () => {
    await writeFile(copy, 'older');
    expect(await listStoreKeys(fixture.root)).toHaveLength(1);
    expect((await readFile(copy)).toString()).toBe('older');
  });
  await listStoreKeys(fixture.root);
  expect((await readFile(copy)).equals(whole)).toBe(true);
  const failed = changeKeys(fixture.root, () => Promise.reject(new Error('mine')));
  await expect(failed).rejects.toThrow('mine');
  expect(await addStoreKey(fixture.root, first, second)).toHaveLength(2);
});

it.runIf(process.platform === 'linux')('a name has one holder, and is free when it gives it back', async () => {
  const name = `diffkeeper/test/${process.pid}`;
  const held = await holdName(name);
  expect(await holdName(name)).toBeNull();
  await held?.release();
  const again = await holdName(name);
  expect(again).not.toBeNull();
  await again?.release();
});
