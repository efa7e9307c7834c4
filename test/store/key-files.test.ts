/** The two key files, when others write them meanwhile, or ended in between. */
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { addStoreKey, listStoreKeys, rotateStoreKey } from '../../src/store/store.js';
import { codeOf, noise, StoreFixture } from './store-fixture.js';

/** What a file is renamed to, and what comes then; directories that were opened, as they are to be synced. */
const hooks = { to: '', before: () => {}, after: () => {}, opened: [] as string[] };
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const rename = async (...[from, to]: Parameters<typeof real.rename>) => {
    const hooked = hooks.to !== '' && String(to).endsWith(hooks.to);
    if (hooked) hooks.before();
    await real.rename(from, to);
    if (hooked) hooks.after();
  };
  const open = (...values: Parameters<typeof real.open>) => {
    hooks.opened.push(String(values[0]));
    return real.open(...values);
  };
  return { ...real, rename, open };
});
afterEach(() => Object.assign(hooks, { to: '', before: () => {}, after: () => {}, opened: [] }));

const fixture = new StoreFixture();
const [KEY, OTHER] = [1, 2].map((seed) => ({ keyBytes: noise(32, seed) })) as [
  { keyBytes: Buffer },
  { keyBytes: Buffer },
];
const file = (name: string): string => path.join(fixture.root, name);

it('what somebody else wrote between them is not written over', async () => {
  await (await fixture.open({ encrypt: true, key: KEY })).close();
  const before = await readFile(file('KEYS'));
  await addStoreKey(fixture.root, KEY, OTHER);
  const theirs = await readFile(file('KEYS'));
  for (const name of ['KEYS', 'KEYS.copy']) await writeFile(file(name), before);
  hooks.to = '/KEYS';
  // As in another container, which no name of the kernel's keeps out.
  hooks.after = () => {
    for (const name of ['KEYS', 'KEYS.copy']) writeFileSync(file(name), theirs);
  };
  expect(await codeOf(() => addStoreKey(fixture.root, KEY, { keyBytes: noise(32, 3) }))).toBe('DK_STORE_LOCKED');
  for (const name of ['KEYS', 'KEYS.copy']) expect(readFileSync(file(name)).equals(theirs)).toBe(true);
});

it('a newer one beside an older one is durable before it is used, also where the other cannot be written', async () => {
  await (await fixture.open({ encrypt: true, key: KEY })).close();
  const before = await readFile(file('KEYS.copy'));
  await rotateStoreKey(fixture.root, KEY);
  hooks.opened.splice(0);
  await listStoreKeys(fixture.root);
  expect(hooks.opened).not.toContain(fixture.root);
  await writeFile(file('KEYS.copy'), before);
  hooks.opened.splice(0);
  hooks.to = '/KEYS.copy';
  hooks.before = () => {
    throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
  };
  await listStoreKeys(fixture.root);
  expect(readFileSync(file('KEYS.copy')).equals(before)).toBe(true);
  expect(hooks.opened).toContain(fixture.root);
});
