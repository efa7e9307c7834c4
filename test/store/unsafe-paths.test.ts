import { readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { removedVersion, VERSION_TYPE, type Version } from '../../src/format/format.js';
import type { Store } from '../../src/store/store.js';
import { forgeCheckpoint } from './forged-checkpoint.js';
import { codeOf, commitFiles, directory, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const UNSAFE = ['/x', '../x', 'a/../x', 'a//b', 'a/', './a', 'a/.', 'a\0b', 'n'.repeat(256), 'a/'.repeat(2100), 'š'];

function symlink(name: string): Version {
  const digest = Buffer.alloc(32, 1);
  return {
    ...removedVersion(name, 0),
    type: VERSION_TYPE.symlink,
    mode: 0o777,
    size: 2,
    linkText: Buffer.from('to'),
    digest,
  };
}

async function names(store: Store): Promise<string[]> {
  const found: string[] = [];
  for await (const batch of store.entries()) found.push(...batch.map((version) => version.path));
  return found;
}

describe('unsafe paths', () => {
  it('are refused by put and remove, and the transaction goes on', async () => {
    const store = await fixture.open();
    const transaction = store.begin();
    for (const name of [...UNSAFE, '']) {
      expect(await codeOf(() => transaction.put(symlink(name)))).toBe('DK_UNSAFE_PATH');
      if (name !== '') expect(await codeOf(() => transaction.put(directory(name)))).toBe('DK_UNSAFE_PATH');
      if (name !== '') expect(await codeOf(() => transaction.remove(name))).toBe('DK_UNSAFE_PATH');
    }
    transaction.put(directory(''));
    transaction.put(symlink('\xff/x'));
    expect((await transaction.commit())?.entries).toBe(2);
    expect((await store.verify()).damage).toEqual([]);
  });

  it('in records are damage, whatever stands beside them is not', async () => {
    let store = await fixture.open();
    await commitFiles(store, { good: Buffer.from('good') });
    const forged = forgeCheckpoint(store, [symlink('../out'), symlink('fine'), symlink('/x')]);
    await store.close();
    await writeFile(fixture.pack(1), Buffer.concat([await readFile(fixture.pack(1)), forged]));
    for (const lost of [false, true]) {
      if (lost) await rm(path.join(fixture.root, 'meta'), { recursive: true });
      store = await fixture.open();
      expect(store.newest?.sequence).toBe(2);
      expect(await names(store)).toEqual(['fine', 'good']);
      expect((await store.changes(2)).map((version) => version.path)).toEqual(['fine']);
      const messages = (await store.verify()).damage.map((one) => one.message).join('\n');
      expect(messages).toContain('"../out"');
      expect(messages).toContain('"/x"');
      await store.close();
    }
    store = await fixture.open();
    expect((await store.rebuildIndex()).damage.some((one) => one.message.includes('unsafe'))).toBe(true);
  });
});

describe('put', () => {
  it('refuses what could not be read back', async () => {
    const store = await fixture.open();
    const transaction = store.begin();
    const [blob] = await transaction.storeBlobs([{ bytes: Buffer.from('x'), kind: 'blob' }]);
    const file: Version = {
      ...removedVersion('f', 0),
      type: VERSION_TYPE.file,
      size: 1,
      digest: blob as Buffer,
      recipe: { kind: 'whole' },
    };
    const wrong: Partial<Version>[] = [
      { mode: 0o10000 },
      { uid: -1 },
      { gid: 2 ** 32 },
      { mtimeNs: 2n ** 63n },
      { linkId: -1n },
      { digest: null },
      { digest: Buffer.alloc(31) },
      { size: 0 },
      { size: 2 ** 20 + 1 },
      { size: 1.5 },
      { recipe: { kind: 'empty' } },
      { recipe: { kind: 'inline', extents: [{ digest: null, offset: 0, length: 2 }] } },
      { recipe: { kind: 'regions', regions: [] } },
    ];
    for (const facts of wrong) expect(() => transaction.put({ ...file, ...facts })).toThrow(RangeError);
    const long = { xattrs: Buffer.alloc(65537) };
    expect(await codeOf(() => transaction.put({ ...file, ...long }))).toBe('DK_LIMIT');
    transaction.put(file);
    expect((await transaction.commit())?.entries).toBe(1);
  });
});
