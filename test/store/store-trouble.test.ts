/** Packs that are shortened, flipped or missing, a clock that goes back, a second process (`docs/durability.md`). */
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import type { Store } from '../../src/store/store.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const { packBytes } = LIMITS;
afterEach(() => {
  (LIMITS as { packBytes: number }).packBytes = packBytes;
});
const meta = () => path.join(fixture.root, 'meta');

/** Three packs of some 100 KB: `one` stands in the first, `two` in the second, `three` in the third. */
async function threePacks(): Promise<void> {
  (LIMITS as { packBytes: number }).packBytes = 100_000;
  const store = await fixture.open();
  // The records of versions stand behind the bulk, in the next pack.
  await commitFiles(store, { one: noise(3000, 1) });
  await commitFiles(store, { bulk: noise(120_000, 2) });
  await commitFiles(store, { two: noise(3000, 3), bulk: noise(120_000, 4) });
  await commitFiles(store, { three: noise(3000, 6) });
  await store.close();
  expect((await readdir(path.join(fixture.root, 'packs'))).length).toBe(3);
}

async function expectReads(store: Store, name: string, seed: number): Promise<void> {
  expect((await contentOf(store, name))?.equals(noise(3000, seed))).toBe(true);
}

async function affectedPaths(store: Store): Promise<Set<string>> {
  const { damage } = await store.verify({ readData: false });
  expect(damage.length).toBeGreaterThan(0);
  return new Set(damage.flatMap(({ affected }) => affected.map((one) => one.path)));
}

async function expectNewCapture(store: Store): Promise<void> {
  const before = store.newest?.sequence ?? 0;
  await commitFiles(store, { new: noise(3000, 9) });
  expect(store.newest?.sequence).toBe(before + 1);
  await expectReads(store, 'new', 9);
}

describe('a pack that is missing', () => {
  it('costs what it held: it is named, all else reads, new captures work; without metadata too', async () => {
    await threePacks();
    await rm(fixture.pack(2));
    let store = await fixture.open();
    await expectReads(store, 'one', 1);
    await expectReads(store, 'three', 6);
    expect(await codeOf(() => contentOf(store, 'two'))).toBe('DK_CORRUPT_PACK');
    expect((await affectedPaths(store)).has('three')).toBe(false);
    await expectNewCapture(store);
    await store.close();
    await rm(meta(), { recursive: true });
    store = await fixture.open();
    await expectReads(store, 'one', 1);
    await expectReads(store, 'three', 6);
    await expectReads(store, 'new', 9);
    await expectNewCapture(store);
  });
});

describe('the last pack', () => {
  it.each(['shortened', 'missing'])(
    'that is %s: what it held is named, nothing is appended in its place',
    async (how) => {
      let store = await fixture.open();
      await commitFiles(store, { one: noise(3000, 1) });
      const { length } = await readFile(fixture.pack(1));
      await commitFiles(store, { two: noise(3000, 2) });
      await store.close();
      if (how === 'shortened') await truncate(fixture.pack(1), length + 1500);
      else await rm(fixture.pack(1));
      store = await fixture.open();
      expect(store.newest?.sequence).toBe(2);
      expect(await codeOf(() => contentOf(store, 'two'))).toMatch(/^DK_CORRUPT_(PACK|RECORD)$/);
      if (how === 'shortened') await expectReads(store, 'one', 1);
      await expectNewCapture(store);
      expect((await affectedPaths(store)).has('new')).toBe(false);
      await store.close();
      store = await fixture.open();
      await expectReads(store, 'new', 9);
    },
  );

  it('with a flipped bit at any byte: never a wrong byte, new captures work', async () => {
    let store = await fixture.open();
    await commitFiles(store, { one: noise(3000, 1) });
    await commitFiles(store, { two: noise(300, 2) });
    await store.close();
    const bytes = await readFile(fixture.pack(1));
    for (let at = 0; at < bytes.length; at += 97) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
      await writeFile(fixture.pack(1), flipped);
      store = await fixture.open();
      for (const [name, content] of [['one', noise(3000, 1)] as const, ['two', noise(300, 2)] as const]) {
        const read = await contentOf(store, name).catch((error: { code: string }) => error.code);
        if (typeof read === 'string') expect(read).toMatch(/^DK_CORRUPT/);
        else expect(read?.equals(content)).toBe(true);
      }
      expect((await store.verify()).damage.length).toBeGreaterThan(0);
      await store.close();
    }
    store = await fixture.open();
    await expectNewCapture(store);
  });
});

describe('a clock that goes back', () => {
  it('changes neither order nor newest; a moment means the newest checkpoint that is not after it', async () => {
    let nowMs = 2_000_000;
    const clock = { nowMs: () => nowMs, steadyMs: () => 0 };
    let store = await fixture.open({ clock });
    for (const [index, time] of [2_000_000, 3_000_000, 1_000_000, 1_500_000].entries()) {
      nowMs = time;
      await commitFiles(store, { a: Buffer.from(`a${index + 1}`) });
    }
    expect(store.newest?.sequence).toBe(4);
    expect((await contentOf(store, 'a'))?.toString()).toBe('a4');
    expect((await store.checkpointAt(new Date(2_500_000))).sequence).toBe(4);
    expect((await store.checkpointAt(new Date(1_200_000))).sequence).toBe(3);
    expect(await codeOf(() => store.checkpointAt(new Date(900_000)))).toBe('DK_NOT_FOUND');
    await store.close();
    await rm(meta(), { recursive: true });
    store = await fixture.open({ clock });
    expect(store.newest?.sequence).toBe(4);
    expect((await contentOf(store, 'a'))?.toString()).toBe('a4');
  });
});
