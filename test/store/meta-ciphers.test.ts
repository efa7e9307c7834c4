/** Which master key a database is under: told by its values, whatever of them is damaged. */
import { expect, it } from 'vitest';
import { DiffKeeperError } from '../../src/core/core.js';
import { newMasterKey, storeKeys } from '../../src/crypt/crypt.js';
import { IndexCipher } from '../../src/store/index-cipher.js';
import { MetaCiphers } from '../../src/store/meta-ciphers.js';
import { headKey, NEWEST_KEY } from '../../src/store/meta-keys.js';

const [newest, older, stranger] = [2, 1, 0].map(
  (epoch) => new IndexCipher(storeKeys(new Map([[epoch, newMasterKey()]]), 'ab'.repeat(16))),
) as [IndexCipher, IndexCipher, IndexCipher];
const ciphers = new MetaCiphers();
ciphers.use([newest, older]);
const bad = Buffer.alloc(60);
const corrupt = new DiffKeeperError('DK_CORRUPT_INDEX', 'a damaged block');

function newestValue(cipher: IndexCipher): Buffer {
  return cipher.seal(NEWEST_KEY, NEWEST_KEY, Buffer.from('value'));
}

function row(cipher: IndexCipher): [Buffer, Buffer] {
  const key = headKey('a');
  const stored = cipher.key(key);
  return [stored, cipher.seal(stored, key, Buffer.from('value'))];
}

async function found(value: Buffer | undefined, rows: [Buffer, Buffer][]): Promise<string> {
  const cipher = await ciphers.of({ get: async () => value, first: async () => rows });
  return cipher === older ? 'older' : cipher === newest ? 'newest' : 'none';
}

it('the newest state tells, or any other value that opens', async () => {
  expect(await found(newestValue(newest), [])).toBe('newest');
  expect(await found(newestValue(older), [])).toBe('older');
  expect(await found(bad, [[headKey('b'), bad], row(older)])).toBe('older');
  expect(await found(undefined, [row(newest)])).toBe('newest');
});

it('an empty one, and one of which nothing opens, counts as one of the newest', async () => {
  expect(await found(undefined, [])).toBe('newest');
  expect(await found(newestValue(stranger), [row(stranger)])).toBe('newest');
});

it('damage is passed over, other trouble is not', async () => {
  const fails = (error: Error) => ({ get: () => Promise.reject(error), first: async () => [row(older)] });
  expect(await ciphers.of(fails(corrupt))).toBe(older);
  await expect(ciphers.of(fails(new DiffKeeperError('DK_IO', 'the disk')))).rejects.toThrow('the disk');
});

it('nothing is looked at where there is one key, or none', async () => {
  const one = new MetaCiphers();
  const untouched = { get: () => Promise.reject(corrupt), first: () => Promise.reject(corrupt) };
  expect(await one.of(untouched)).toBeNull();
  one.use([older]);
  expect(await one.of(untouched)).toBe(older);
  expect(one.newest).toBe(older);
});
