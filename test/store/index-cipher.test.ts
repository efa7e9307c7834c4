/** Ranges of an encrypted index: whatever bytes the tokens are, a range holds what it asks for and nothing else. */
import { rm } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BytePath } from '../../src/core/core.js';
import { storeKeys } from '../../src/crypt/crypt.js';
import { IndexCipher } from '../../src/store/index-cipher.js';
import {
  childRange,
  deepRange,
  headKey,
  KEY_LETTER,
  type KeyRange,
  ownVersionRange,
  versionKey,
} from '../../src/store/meta-keys.js';
import { MetaSeal } from '../../src/store/meta-reader.js';
import { directory, putFile, StoreFixture } from './store-fixture.js';

const keys = storeKeys(new Map([[0, Buffer.alloc(32, 'm')]]), '00'.repeat(16));
const PATHS = ['', 'a', 'a/b', 'a/b/c', 'd', 'd/e', 'file'] as BytePath[];

/** As the database is read, with names whose tokens all begin with `first`. */
function reader(first: number): (range: KeyRange, reverse?: boolean) => Promise<string[]> {
  const named = { name: (bytes: Uint8Array) => Buffer.concat([Buffer.of(first), keys.names.name(bytes).subarray(1)]) };
  const cipher = new IndexCipher({ names: named, index: keys.index });
  const seal = new MetaSeal('', () => 0n);
  seal.useCipher(cipher);
  const plain = PATHS.flatMap((path) => [headKey(path), versionKey(path, 1), versionKey(path, 0x2f00)]);
  const rows = plain.map((key) => {
    const stored = seal.stored(key);
    return [stored, seal.seal(key, Buffer.from('value'), stored)] as [Buffer, Buffer];
  });
  rows.sort(([one], [other]) => one.compare(other));
  return async (range, reverse = false) => {
    const found: string[] = [];
    async function* read(
      { gte, lt }: KeyRange,
      how: { readonly reverse?: boolean },
    ): AsyncGenerator<[Buffer, Buffer][]> {
      const inside = rows.filter(([key]) => key.compare(gte) >= 0 && key.compare(lt) < 0);
      for (const row of how.reverse ? inside.reverse() : inside) yield [row];
    }
    for await (const entries of seal.range(range, { reverse }, read)) {
      found.push(...entries.map(([key]) => key.toString('latin1')));
    }
    return found;
  };
}

const text = (key: Buffer): string => key.toString('latin1');

describe.each([0, 1, 0x2e, 0x2f, 0x30, 0xff])('tokens that begin with byte %i', (first) => {
  const inRange = reader(first);

  it.each(PATHS)('the versions of "%s"', async (path) => {
    const own = [versionKey(path, 1), versionKey(path, 0x2f00)].map(text);
    expect(await inRange(ownVersionRange(path))).toEqual(own);
    expect(await inRange(ownVersionRange(path), true)).toEqual(own.reverse());
  });

  it.each(PATHS)('what lies in "%s"', async (path) => {
    const inside = (other: BytePath): string =>
      path === '' ? other : other.startsWith(`${path}/`) ? other.slice(path.length + 1) : '';
    const children = PATHS.filter((other) => inside(other) !== '' && !inside(other).includes('/'));
    const deeper = PATHS.filter((other) => inside(other).includes('/'));
    // The root directory stands among its own children, without a name.
    const heads = (path === '' ? ['' as BytePath, ...children] : children).map((one) => text(headKey(one)));
    expect(await inRange(childRange(KEY_LETTER.head, path))).toEqual(heads);
    if (path !== '')
      expect(await inRange(deepRange(KEY_LETTER.head, path))).toEqual(deeper.map((one) => text(headKey(one))));
  });
});

describe('a store of many directories', () => {
  const fixture = new StoreFixture();
  const key = { keyBytes: Buffer.alloc(32, 'k') };

  it('lists the versions of the root directory and keeps its tree, whatever its key is', async () => {
    const store = await fixture.open({ encrypt: true, key });
    const writer = store.begin();
    await writer.put(directory(''));
    for (let index = 0; index < 1500; index += 1) {
      await writer.put(directory(`d${index}`));
      if (index % 3 === 0) await putFile(store, writer, `d${index}/file`, Buffer.from(`content ${index}`));
    }
    await writer.commit();
    await store.close();
    await rm(path.join(fixture.root, 'cache'), { recursive: true });
    const again = await fixture.open({ key });
    const second = again.begin();
    await putFile(again, second, 'another', Buffer.from('more'));
    await second.commit();
    const found: number[] = [];
    for await (const { sequence } of again.versions('' as BytePath)) found.push(sequence);
    expect(found).toEqual([1]);
    expect((await again.verify()).damage).toEqual([]);
  });
});
