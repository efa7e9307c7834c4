/** Dense packs that have lost bytes of their files: what that costs is told, also when nothing but the packs is left. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { condense, type Store } from '../../src/store/store.js';
import { everything, groupsOf, writeHistory } from './condensed-store.js';
import { commitFiles, contentOf, noise, StoreFixture, sequencesOf } from './store-fixture.js';

const fixture = new StoreFixture();
const VERSIONS = 60;

/** @param groupBytes one group of the pack, about */
async function dense(groupBytes: number): Promise<{ readonly pack: Buffer; readonly groups: readonly number[] }> {
  const before = LIMITS.denseGroupBytes;
  Object.assign(LIMITS, { denseGroupBytes: groupBytes });
  try {
    const store = await fixture.open();
    await writeHistory(store, 1, VERSIONS);
    await everything(store);
    expect((await condense(store)).packs).toBe(1);
    await store.close();
  } finally {
    Object.assign(LIMITS, { denseGroupBytes: before });
  }
  const pack = await readFile(fixture.pack(1));
  return { pack, groups: groupsOf(pack) };
}

/** The pack is like this now, and there is no metadata. */
async function openWith(pack: Buffer): Promise<Store> {
  await writeFile(fixture.pack(1), pack);
  await rm(path.join(fixture.root, 'meta'), { recursive: true });
  return fixture.open();
}

async function expectTold(store: Store): Promise<void> {
  expect((await store.verify()).damage.length).toBeGreaterThan(0);
  const report = await store.rebuildIndex({ check: true });
  expect(report.damage.length).toBeGreaterThan(0);
  const aside = await readdir(path.join(fixture.root, 'quarantine'));
  expect(aside.some((name) => name.startsWith('damaged-00000001'))).toBe(true);
  // Life goes on, and what is told stays told.
  const before = await sequencesOf(store);
  await commitFiles(store, { later: noise(100, 1) });
  expect((await sequencesOf(store)).slice(0, -1)).toEqual(before);
  await store.close();
  await rm(path.join(fixture.root, 'meta'), { recursive: true });
  const again = await fixture.open();
  expect(await contentOf(again, 'later')).toEqual(noise(100, 1));
  expect((await again.verify()).damage.length).toBeGreaterThan(0);
  await again.close();
}

/** Without `bytes` bytes from `at` on. */
function cut(pack: Buffer, at: number, bytes: number): Buffer {
  return Buffer.concat([pack.subarray(0, at), pack.subarray(at + bytes)]);
}

describe('one group', () => {
  it.each([1, 500])('that lacks %i bytes', async (bytes) => {
    const { pack, groups } = await dense(LIMITS.denseGroupBytes);
    expect(groups.length).toBe(1);
    const store = await openWith(cut(pack, pack.length >> 1, bytes));
    expect(await sequencesOf(store)).toEqual([]);
    await expectTold(store);
  });

  it('cut, and zeros at the end', async () => {
    const { pack } = await dense(LIMITS.denseGroupBytes);
    await expectTold(await openWith(Buffer.concat([cut(pack, pack.length >> 1, 700), Buffer.alloc(700)])));
  });
});

describe('several groups', () => {
  it.each(['cut', 'end'])('costs those behind it (%s)', async (how) => {
    const { pack, groups } = await dense(64 << 10);
    expect(groups.length).toBeGreaterThan(3);
    const at = (groups[2] as number) + 60;
    const store = await openWith(how === 'cut' ? cut(pack, at, 1) : pack.subarray(0, at));
    const left = await sequencesOf(store);
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThan(VERSIONS);
    await expectTold(store);
  });

  it('a list that is lost costs nothing', async () => {
    const { pack } = await dense(64 << 10);
    const other = Buffer.from(pack);
    other.fill(0, other.length - 16);
    const store = await openWith(other);
    expect((await sequencesOf(store)).length).toBe(VERSIONS);
    expect((await store.verify()).damage).toEqual([]);
  });
});
