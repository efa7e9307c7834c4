/** LevelDB says that files are missing when the disk did not list its directory: that is no damage of the metadata. */
import { readdir } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { openStore } from '../../src/store/store.js';
import { commitFiles, StoreFixture } from './store-fixture.js';

const level = vi.hoisted(() => ({ failures: 0 }));
vi.mock('classic-level', async (original) => {
  const { ClassicLevel } = await original<typeof import('classic-level')>();
  const { _open: open } = ClassicLevel.prototype as unknown as { _open(options: unknown): Promise<void> };
  class Unlisted extends ClassicLevel {
    async _open(options: unknown): Promise<void> {
      if (level.failures === 0) return open.call(this, options);
      level.failures -= 1;
      throw new Error('Corruption: 1 missing files; e.g.: meta/000005.ldb');
    }
  }
  return { ClassicLevel: Unlisted };
});

const fixture = new StoreFixture();
afterEach(() => {
  level.failures = 0;
});

it('is asked once more before it is put aside', async () => {
  let store = await fixture.open();
  await commitFiles(store, { file: Buffer.from('kept') });
  await store.close();
  for (const [failures, aside] of [
    [1, false],
    [2, true],
  ] as const) {
    level.failures = failures;
    store = await openStore(fixture.root);
    expect(level.failures).toBe(0);
    expect(store.newest?.sequence).toBe(1);
    await store.close();
    const names = await readdir(path.join(fixture.root, 'quarantine')).catch(() => []);
    expect(names.some((name) => name.startsWith('meta-'))).toBe(aside);
  }
});
