/** What an encrypted store lets nobody see, after everything that may be done with it. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCaptureSession } from '../../src/capture/capture.js';
import { recover } from '../../src/recover/recover.js';
import { openStore, type StoreOptions } from '../../src/store/store.js';
import { noise } from '../store/store-fixture.js';

const KEY = { keyBytes: Buffer.alloc(32, 'k') };
let base = '';
beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-sealed-'));
});
afterEach(() => rm(base, { recursive: true, force: true }));

const at = (...names: string[]): string => path.join(base, ...names);
const LARGE = noise(2 << 20, 9);
const TEXT = "this sentence is nobody else's business, and it is not long";
const NAMES = ['folder-of-secrets', 'name-of-a-file', 'large-file-name', 'link-to-nowhere'];

/** Captures in two openings, prune, damage, verify, repair, recover. Gives what must not be seen. */
async function life(store: string, options: StoreOptions): Promise<Map<string, Buffer>> {
  const state = at('state');
  await rm(state, { recursive: true, force: true });
  await mkdir(path.join(state, 'folder-of-secrets'), { recursive: true });
  const small = path.join(state, 'folder-of-secrets', 'name-of-a-file');
  const secrets = new Map<string, Buffer>(NAMES.map((name) => [name, Buffer.from(name)]));
  for (let round = 0; round < 4; round += 1) {
    const opened = await openStore(store, { create: true, ...options });
    const session = await openCaptureSession(opened, state);
    const content = Buffer.from(`${TEXT} ${round}`);
    await writeFile(small, content);
    LARGE.writeUInt32LE(round, 77 * round);
    await writeFile(path.join(state, 'large-file-name'), LARGE);
    if (round === 0) await symlink('text-of-a-link', path.join(state, 'link-to-nowhere'));
    await session.capture({ tag: `tag-of-mine-${round}` });
    for (const [name, bytes] of [['small', content] as const, ['large', LARGE] as const]) {
      const digest = opened.engine.digest(opened.hashAlgo, bytes);
      secrets.set(`digest of the ${name} one in round ${round}`, digest);
      secrets.set(`its hex, ${name} ${round}`, Buffer.from(digest.toString('hex')));
    }
    secrets.set(`root ${round}`, opened.newest?.root as Buffer);
    await session.close();
    await opened.close();
  }
  secrets.set('content', Buffer.from(TEXT));
  secrets.set('large content', LARGE.subarray(1 << 20, (1 << 20) + 32));
  secrets.set('link text', Buffer.from('text-of-a-link'));
  secrets.set('tag', Buffer.from('tag-of-mine'));
  const opened = await openStore(store, options);
  await opened.prune({ keepLast: 2 }, { compactBelow: 1 });
  await opened.close();
  await damage(store);
  const damaged = await openStore(store, options);
  expect((await damaged.verify()).damage.length).toBeGreaterThan(0);
  const report = await recover(damaged, at('target'));
  expect(report.damaged.length).toBeGreaterThan(0);
  await damaged.rebuildIndex({ check: true });
  await damaged.close();
  return secrets;
}

/** Flips a byte of the largest record of the largest pack. */
async function damage(store: string): Promise<void> {
  let largest = { file: '', bytes: Buffer.alloc(0) };
  for (const name of await readdir(path.join(store, 'packs'))) {
    const file = path.join(store, 'packs', name);
    const bytes = await readFile(file);
    if (bytes.length > largest.bytes.length) largest = { file, bytes };
  }
  const middle = largest.bytes.length >> 1;
  largest.bytes[middle] = (largest.bytes[middle] as number) ^ 1;
  await writeFile(largest.file, largest.bytes);
}

async function seen(store: string, secrets: ReadonlyMap<string, Buffer>): Promise<Set<string>> {
  const found = new Set<string>();
  for (const entry of await readdir(store, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const bytes = entry.isFile() ? await readFile(file) : Buffer.alloc(0);
    for (const [name, secret] of secrets) {
      if (bytes.includes(secret) || Buffer.from(file).includes(secret)) found.add(name);
    }
  }
  return found;
}

describe('an encrypted store', () => {
  it('shows no name, content, digest, link text or tag, where a plain one shows them', async () => {
    const plain = await seen(at('plain'), await life(at('plain'), {}));
    for (const kind of [
      'folder-of-secrets',
      'content',
      'large content',
      'digest of the small one in round 3',
      'root 3',
    ])
      expect([...plain], kind).toContain(kind);
    const secrets = await life(at('keep'), { encrypt: true, key: KEY });
    expect([...(await seen(at('keep'), secrets))]).toEqual([]);
  }, 30_000);

  it('names caches of the same file differently in each store', async () => {
    const names: string[] = [];
    for (const store of ['one', 'two']) {
      await life(at(store), { encrypt: true, key: KEY });
      names.push(...(await readdir(at(store, 'cache', 'pages'))));
    }
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(1);
  }, 30_000);

  it('uses its caches: an unchanged tree is not read again', async () => {
    await mkdir(at('state'), { recursive: true });
    await writeFile(at('state', 'large'), LARGE);
    const options: StoreOptions = { create: true, encrypt: true, key: KEY };
    for (const round of [0, 1]) {
      const store = await openStore(at('keep'), options);
      const session = await openCaptureSession(store, at('state'));
      const { checkpoint } = await session.capture();
      expect(checkpoint === null).toBe(round === 1);
      await session.close();
      await store.close();
    }
    const caches = await readdir(at('keep', 'cache'), { recursive: true });
    expect(caches).toEqual(expect.arrayContaining(['stat.idx', 'leaves.idx', 'pages']));
  });
});
