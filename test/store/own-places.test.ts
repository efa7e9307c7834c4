/** A store whose directory was crafted: nothing outside is written, cut or removed, and nothing waits for a pipe. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { capture, openStore, openStoreToRead } from '../../src/index.js';
import { openSnapshotStore } from '../../src/store/open-snapshots.js';
import { isStoreKept } from '../../src/store/shared-store.js';

let place: string;
let root: string;
let state: string;
let victim: string;

beforeEach(async () => {
  place = mkdtempSync(join(tmpdir(), 'dk-own-'));
  [root, state, victim] = [join(place, 'store'), join(place, 'state'), join(place, 'victim')];
  mkdirSync(state);
  mkdirSync(victim);
  writeFileSync(join(victim, 'doc'), 'a letter');
  writeFileSync(join(state, 'a'), 'some content');
  const store = await openStore(root, { create: true });
  await capture(store, state);
  await store.close();
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

async function expectRefused(what: RegExp): Promise<void> {
  for (const open of [() => openStore(root), () => openStoreToRead(root), () => openStore(root, { create: true })]) {
    const error = await open().then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'DK_UNSAFE_PATH', message: expect.stringMatching(what) });
  }
  expect(readdirSync(victim)).toEqual(['doc']);
  expect(readFileSync(join(victim, 'doc'), 'utf8')).toBe('a letter');
}

describe('links in place of what the store has', () => {
  it.each([
    ['packs/00000003.dkp', 'doc'],
    ['packs/50000000.dkp', 'doc'],
    ['packs/00000001.dkp.unfinished', 'doc'],
    ['meta/LOG', 'doc'],
    ['meta/000099.dbtmp', 'doc'],
    ['cache/stat.idx', 'doc'],
    ['owner.json', 'doc'],
    ['meta', '.'],
    ['meta-before', '.'],
    ['packs', '.'],
    ['cache', '.'],
    ['quarantine', '.'],
    ['incoming', '.'],
  ])('%s', async (name, target) => {
    rmSync(join(root, name), { recursive: true, force: true });
    symlinkSync(join(victim, target), join(root, name));
    await expectRefused(/is a symbolic link and should be/);
    // What somebody else is to see is still there.
    expect(lstatSync(join(root, name)).isSymbolicLink()).toBe(true);
  });

  it('the pack that is appended to', async () => {
    const pack = join(root, 'packs', '00000001.dkp');
    renameSync(pack, join(place, 'pack'));
    symlinkSync(join(place, 'pack'), pack);
    const before = readFileSync(join(place, 'pack'));
    await expectRefused(/00000001\.dkp of the store is a symbolic link/);
    expect(readFileSync(join(place, 'pack')).equals(before)).toBe(true);
  });

  it('schema 1', async () => {
    const old = join(place, 'old');
    await (await openSnapshotStore(old, { create: true })).close();
    symlinkSync(join(victim, 'doc'), join(old, 'snapshots', 'LOG.old.tmp'));
    await expect(openSnapshotStore(old)).rejects.toMatchObject({ code: 'DK_UNSAFE_PATH' });
    expect(readFileSync(join(victim, 'doc'), 'utf8')).toBe('a letter');
  });
});

describe('what is no file', () => {
  it.each(['packs/00000003.dkp', 'cache/tree', 'owner.json'])('a pipe as %s', async (name) => {
    rmSync(join(root, name), { force: true });
    execFileSync('mkfifo', [join(root, name)]);
    await expectRefused(/is a pipe and should be a file/);
    // Asked of by the status of other commands: it must not wait either.
    writeFileSync(join(root, 'read.sock'), '');
    await expect(isStoreKept(root, 50)).rejects.toMatchObject({ code: 'DK_UNSAFE_PATH' });
  });

  it('a directory as a pack, a file as the metadata', async () => {
    mkdirSync(join(root, 'packs', '00000002.dkp'));
    await expectRefused(/00000002\.dkp of the store is a directory and should be a file/);
    rmSync(join(root, 'packs', '00000002.dkp'), { recursive: true });
    rmSync(join(root, 'meta'), { recursive: true });
    writeFileSync(join(root, 'meta'), '');
    await expectRefused(/meta of the store is a file and should be a directory/);
  });
});

it('takes a store that is reached through a link, and what others have put beside', async () => {
  symlinkSync(root, join(place, 'by-name'));
  symlinkSync(join(victim, 'doc'), join(root, 'notes'));
  symlinkSync(join(victim, 'doc'), join(root, 'quarantine', 'seen-before'));
  const store = await openStore(join(place, 'by-name'));
  expect(store.newest?.sequence).toBe(1);
  await store.close();
});

it('replaces files without following what a temporary name has become', async () => {
  // Whoever makes the store cannot know the process, but may have tried all of them.
  const file = join(root, `owner.json.${process.pid}.tmp`);
  for (const plant of [symlinkSync, linkSync]) {
    plant(join(victim, 'doc'), file);
    await (await openStore(root)).close();
    expect(readFileSync(join(victim, 'doc'), 'utf8')).toBe('a letter');
    expect(existsSync(file)).toBe(false);
  }
});
