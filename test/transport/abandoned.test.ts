/** What cut transfers left and nobody went on with. */
import { lstat, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileInbox } from '../../src/transport/file-inbox.js';
import { type BlobOffer, createReceiver } from '../../src/transport/transport.js';
import { PLAIN } from './session-fixture.js';

const DAY_MS = 86_400_000;
const NAMES = ['a', 'b', 'c'].map((letter) => letter.repeat(64)) as [string, string, string];

let root = '';
let partial = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'dk-abandoned-'));
  partial = join(root, '.diffkeeper-partial');
  await mkdir(partial);
});
afterEach(() => rm(root, { recursive: true }));

async function left(name: string, ends: readonly string[], ageMs: number): Promise<void> {
  for (const end of ends) {
    const path = join(partial, `${name}.${end}`);
    await writeFile(path, 'bytes');
    const seconds = (Date.now() - ageMs) / 1000;
    await utimes(path, seconds, seconds);
  }
}

const receive = (options = {}) =>
  createReceiver({ host: '127.0.0.1', port: 0, link: { trust: PLAIN }, directory: root, ...options });

describe('an abandoned transfer', () => {
  it('is removed after a week, and nothing else', async () => {
    await left(NAMES[0], ['data', 'have'], 8 * DAY_MS);
    await left(NAMES[1], ['data', 'have'], 6 * DAY_MS);
    // Written to lately: its journal alone is old.
    await left(NAMES[2], ['have'], 30 * DAY_MS);
    await left(NAMES[2], ['data'], DAY_MS);
    await left('of-somebody-else', ['data'], 100 * DAY_MS);
    await (await receive()).close();
    const expected = [NAMES[1], NAMES[2]].flatMap((name) => [`${name}.data`, `${name}.have`]);
    expect((await readdir(partial)).sort()).toEqual([...expected, 'of-somebody-else.data'].sort());
    await (await receive({ partialAgeMs: 2 * DAY_MS })).close();
    expect(await readdir(partial)).not.toContain(`${NAMES[1]}.data`);
    await expect(receive({ partialAgeMs: -1 })).rejects.toBeInstanceOf(RangeError);
  });

  it('is not looked for behind a symbolic link', async () => {
    const elsewhere = join(root, 'elsewhere');
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, `${NAMES[1]}.data`), 'bytes');
    await rm(partial, { recursive: true });
    await symlink(elsewhere, partial);
    expect(await new FileInbox(root, () => {}).removeAbandoned(Date.now() + DAY_MS)).toBe(0);
    expect((await lstat(join(elsewhere, `${NAMES[1]}.data`))).size).toBe(5);
  });

  it('is not one that is being received', async () => {
    const inbox = new FileInbox(root, () => {});
    const offer: BlobOffer = {
      service: 'file',
      key: Buffer.from('key'),
      size: 5,
      meta: Buffer.from('name'),
      peer: { name: 'me', address: 'here', rights: 'append' },
    };
    const sink = await inbox.open(offer);
    expect(await inbox.removeAbandoned(Date.now() + DAY_MS)).toBe(0);
    await sink?.write(0, Buffer.from('bytes'));
    await sink?.abort(new Error('cut'));
    expect(await inbox.removeAbandoned(Date.now() + DAY_MS)).toBe(1);
    expect(await readdir(partial)).toEqual([]);
  });
});
