/** Old checkpoints of a path with thousands of versions: which one counts is looked up, whatever stands around it. */
import { describe, expect, it } from 'vitest';
import { commitFiles, contentOf, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const COMMITS = 300;

describe.each([false, true])('a long history (encrypted: %s)', (encrypt) => {
  it('gives each state, with what came before, behind and below the long one', async () => {
    const options = encrypt ? { encrypt, key: { keyBytes: Buffer.alloc(32, 'k') } } : {};
    const store = await fixture.open(options);
    await commitFiles(store, { 'd/a': Buffer.from('a'), 'd/long/inner': Buffer.from('i'), z: Buffer.from('z') });
    for (let version = 2; version <= COMMITS; version += 1) {
      // Removed in some, and for good at the end.
      const gone = version % 50 === 0 || version === COMMITS;
      await commitFiles(store, {
        'd/busy': gone ? null : Buffer.from(`busy ${version}`),
        ...(version % 100 === 7 && { 'd/busy-too': Buffer.from(`too ${version}`) }),
      });
    }
    for (const at of [1, 2, 49, 50, 51, 64, 65, 66, 129, 130, 207, 250, COMMITS - 1, COMMITS]) {
      const names: string[] = [];
      for await (const batch of store.entries({ at })) {
        for (const version of batch) {
          names.push(version.path);
          if (version.path !== 'd/busy') continue;
          expect((await store.reader(version).read(0, version.size)).toString()).toBe(`busy ${at}`);
        }
      }
      const busy = at > 1 && at % 50 !== 0 ? ['d/busy'] : [];
      const too = at >= 7 ? ['d/busy-too'] : [];
      const files = names.filter((name) => !['', 'd', 'd/long'].includes(name));
      expect(files.sort()).toEqual(['d/a', ...busy, ...too, 'd/long/inner', 'z'].sort());
      const some: string[] = [];
      for await (const batch of store.entries({ at, under: ['d/busy', 'z'] }))
        some.push(...batch.map(({ path }) => path));
      expect(some.sort()).toEqual([...busy, 'z'].sort());
    }
    expect((await contentOf(store, 'z'))?.toString()).toBe('z');
    await store.close();
  }, 60_000);
});
