/** A checkpoint with so many versions that they come in pieces: what has come stays when the run is cut. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { removedVersion, VERSION_TYPE } from '../../src/format/format.js';
import { VERB } from '../../src/replicate/protocol.js';
import { exchangeOf, type Store, type StoreOptions } from '../../src/store/store.js';
import { codeOf, noise } from '../store/store-fixture.js';
import { push, ReplicaFixture } from './replica-fixture.js';

const fixture = new ReplicaFixture();
const FILES = 6000;
const ATTRIBUTE_BYTES = 400;

/** One checkpoint of many files with one content; their attributes are long and do not compress. */
async function commitMany(store: Store): Promise<void> {
  const transaction = store.begin();
  const [digest] = await transaction.storeBlobs([{ bytes: noise(100, 1), kind: 'blob' }]);
  const attributes = noise(FILES * ATTRIBUTE_BYTES, 2);
  for (let index = 0; index < FILES; index += 1) {
    const xattrs = attributes.subarray(index * ATTRIBUTE_BYTES, (index + 1) * ATTRIBUTE_BYTES);
    const facts = { mode: 0o644, size: 100, digest: digest as Buffer, xattrs, recipe: { kind: 'whole' } } as const;
    transaction.put({ ...removedVersion(`d${index % 50}/f${index}`, 0), type: VERSION_TYPE.file, ...facts });
  }
  await transaction.commit();
}

/** A push that may end with the n-th piece of versions; gives the bytes of the pieces that came. */
async function pieces(source: Store, replica: Store, last: number): Promise<{ code: string; lengths: number[] }> {
  const lengths: number[] = [];
  const onMessage = (kind: string, verb: string, bytes: Buffer): undefined => {
    if (kind !== 'answer' || verb !== VERB.versions) return undefined;
    if (lengths.length === last) throw new Error('cut');
    lengths.push(bytes.length);
    return undefined;
  };
  return { code: await codeOf(() => push(source, replica, { onMessage })), lengths };
}

const sum = (lengths: readonly number[]): number => lengths.reduce((total, length) => total + length, 0);

describe('versions that come in pieces', () => {
  it.each<[string, StoreOptions]>([
    ['a plain store', {}],
    ['an encrypted store', { encrypt: true, key: { keyBytes: noise(32, 5) } }],
  ])(
    'are kept when the run is cut, in %s',
    async (_, options) => {
      const source = await fixture.open('source');
      await commitMany(source);
      let replica = await fixture.open('replica', options);
      const first = await pieces(source, replica, 1);
      expect(first).toMatchObject({ code: 'DK_CONNECTION', lengths: [expect.any(Number)] });
      await fixture.close(replica);
      const incoming = path.join(replica.path, 'incoming');
      const [name = ''] = await readdir(incoming);
      const kept = await readFile(path.join(incoming, name));
      // The end of the file is damaged: that record is asked for again, the others are not.
      kept[kept.length - 30] = (kept[kept.length - 30] as number) ^ 1;
      await writeFile(path.join(incoming, name), kept);
      replica = await fixture.open('replica', options);
      const second = await pieces(source, replica, Number.MAX_SAFE_INTEGER);
      expect(second.code).toBe('no error');
      let needed = 0;
      for await (const { versionsBytes } of exchangeOf(source).history(0)) needed += versionsBytes;
      expect(sum(first.lengths) + sum(second.lengths)).toBeLessThan(needed + 300_000);
      expect(sum(second.lengths)).toBeLessThan(needed - 500_000);
      expect(await readdir(incoming)).toEqual([]);
      expect(replica.newest?.root.equals(source.newest?.root as Buffer)).toBe(true);
      expect((await replica.verify()).damage).toEqual([]);
    },
    120_000,
  );
});
