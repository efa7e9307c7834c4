/** Views of contents: text, bytes, damage, bounds. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.js';
import { type ContentView, type ViewOptions, viewContent } from '../../src/ui/content-view.js';
import { listVersions } from '../../src/ui/version-history.js';
import { commitFiles, noise, StoreFixture } from '../store/store-fixture.js';

const fixture = new StoreFixture();
const never = new AbortController().signal;

function view(
  store: Store,
  name: string,
  options: Partial<ViewOptions> & { readonly to: number },
): Promise<ContentView> {
  const plain = { from: undefined, hex: false, offset: 0, whole: false, signal: never };
  return viewContent(store, { ...plain, ...options, path: name });
}

describe('views', () => {
  it('text side by side, one version alone, hex when asked for', async () => {
    const store = await fixture.open();
    await commitFiles(store, { a: Buffer.from('one\ntwo words here\nthree\n') });
    await commitFiles(store, { a: Buffer.from('one\ntwo words there\nthree\nfour\n') });
    const both = await view(store, 'a', { from: 1, to: 2 });
    expect(both).toMatchObject({ kind: 'text', changed: 1, added: 1, removed: 0, cut: false });
    expect(both.kind === 'text' && both.rows[1]).toEqual(['~', 2, 2, ['two words ', 'here'], ['two words ', 'there']]);
    const alone = await view(store, 'a', { to: 1 });
    expect(alone.kind === 'text' && alone.rows.map(([kind]) => kind)).toEqual(['=', '=', '=']);
    const hex = await view(store, 'a', { from: 1, to: 2, hex: true });
    expect(hex.kind === 'hex' && hex.rows.map(({ offset }) => offset)).toEqual([0, 16, 32].slice(0, 2));
  });

  it('new, removed, unchanged, unknown', async () => {
    const store = await fixture.open();
    await commitFiles(store, { a: Buffer.from('a\n'), same: Buffer.from('s\n') });
    await commitFiles(store, { a: null, b: Buffer.from('b\n') });
    expect(await view(store, 'b', { from: 1, to: 2 })).toMatchObject({ kind: 'text', left: null, added: 1 });
    expect(await view(store, 'a', { from: 1, to: 2 })).toMatchObject({ kind: 'text', right: null, removed: 1 });
    expect(await view(store, 'same', { from: 1, to: 2 })).toMatchObject({ kind: 'same' });
    await expect(view(store, 'c', { from: 1, to: 2 })).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
  });

  it('finds one changed byte in a large file by reading little, and goes on from where it stopped', async () => {
    const store = await fixture.open();
    const bytes = noise(24 << 20, 3);
    await commitFiles(store, { big: bytes });
    const changed = Buffer.from(bytes);
    changed[20_000_000] = (changed[20_000_000] ?? 0) ^ 1;
    await commitFiles(store, { big: changed });
    const found = await view(store, 'big', { from: 1, to: 2 });
    expect(found.kind === 'hex' && [found.rows.map(({ offset }) => offset), found.next]).toEqual([[20_000_000], null]);
    const first = await view(store, 'big', { to: 2 });
    expect(first.kind === 'hex' && [first.rows.length, first.next]).toEqual([400, 6400]);
    const next = await view(store, 'big', { to: 2, offset: 6400 });
    expect(next.kind === 'hex' && next.rows[0]?.right).toBe(changed.toString('hex', 6400, 6416));
  });

  it('contents of other lengths end where they end', async () => {
    const store = await fixture.open();
    await commitFiles(store, { a: Buffer.from([0, 1, 2]) });
    await commitFiles(store, { a: Buffer.concat([Buffer.from([0, 1, 2]), Buffer.alloc(20, 7)]) });
    const found = await view(store, 'a', { from: 1, to: 2 });
    expect(found.kind === 'hex' && found.rows).toEqual([
      { offset: 0, left: '000102', right: `000102${'07'.repeat(13)}` },
      { offset: 16, left: '', right: '07'.repeat(7) },
    ]);
  });

  it('stops when the reader has gone', async () => {
    const store = await fixture.open();
    await commitFiles(store, { big: noise(3 << 20, 4) });
    const gone = AbortSignal.abort();
    await expect(view(store, 'big', { to: 1, signal: gone })).rejects.toMatchObject({ code: 'DK_ABORTED' });
  });
});

describe('damage', () => {
  it('is shown, and what is not damaged is shown too', async () => {
    let store = await fixture.open();
    const bytes = noise(3 << 20, 5);
    await commitFiles(store, { torn: bytes, whole: Buffer.from('fine\n') });
    await store.close();
    const pack = readFileSync(fixture.pack(1));
    // In the second of three blobs, which lie one behind another.
    const at = pack.indexOf(bytes.subarray(1 << 20, (1 << 20) + 64));
    expect(at).toBeGreaterThan(0);
    pack[at + 40] = (pack[at + 40] ?? 0) ^ 0xff;
    writeFileSync(fixture.pack(1), pack);
    store = await fixture.open();
    const torn = await view(store, 'torn', { to: 1, offset: (1 << 20) - 32 });
    if (torn.kind !== 'hex') throw new Error(torn.kind);
    expect(torn.rows.slice(0, 3).map(({ offset, right }) => [offset, right === null])).toEqual([
      [(1 << 20) - 32, false],
      [(1 << 20) - 16, false],
      [1 << 20, true],
    ]);
    expect(torn.damage[0]).toMatchObject({ side: 'right', offset: 1 << 20, code: 'DK_CORRUPT_RECORD' });
    expect(torn.rows.some(({ offset, right }) => offset >= 2 << 20 && right !== null)).toBe(true);
    expect(await view(store, 'whole', { to: 1 })).toMatchObject({ kind: 'text' });
    const { versions } = await listVersions(store, { path: 'torn', before: 99, signal: never });
    expect(versions).toHaveLength(1);
  });
});
