/** Exports: what the real tar unpacks, and what the reader of BoltDB files finds, is the checkpoint. */
import { spawnSync } from 'node:child_process';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import {
  exportBolt,
  exportTar,
  importedStorePath,
  openStoreOrImport,
  readMigrationReport,
} from '../../src/migrate/migrate.js';
import { recover } from '../../src/recover/recover.js';
import { openStore, type Store } from '../../src/store/store.js';
import { noise } from '../store/store-fixture.js';
import { newestFiles, OlderStores, sha256Hex } from './older-stores.js';

const older = new OlderStores();

async function keepState(fill: (state: string) => void): Promise<Store> {
  const state = path.join(older.base, 'state');
  mkdirSync(state, { recursive: true });
  fill(state);
  const store = older.keep(await openStore(path.join(older.base, 'keep'), { create: true }));
  await capture(store, state);
  return store;
}

/** Everything two trees can be compared by; names as bytes. */
function listing(root: string, withTimes: boolean): string[] {
  const lines: string[] = [];
  const walk = (at: Buffer): void => {
    for (const name of readdirSync(at, { encoding: 'buffer' }).sort(Buffer.compare)) {
      const full = Buffer.concat([at, Buffer.from('/'), name]);
      const facts = lstatSync(full, { bigint: true });
      const kind = facts.isDirectory() ? 'd' : facts.isSymbolicLink() ? 'l' : 'f';
      const content = kind === 'f' ? sha256Hex(readFileSync(full)) : kind === 'l' ? readlinkSync(full) : '';
      const time = withTimes ? facts.mtimeNs : '';
      const shown = full.subarray(Buffer.byteLength(root) + 1).toString('latin1');
      lines.push(`${kind} ${shown} ${facts.mode.toString(8)} ${kind === 'd' ? '' : facts.nlink} ${time} ${content}`);
      if (kind === 'd') walk(full);
    }
  };
  walk(Buffer.from(root));
  return lines;
}

function run(words: readonly string[]): string {
  const [command = '', ...rest] = words;
  const { status, stdout, stderr } = spawnSync(command, rest, { encoding: 'utf8' });
  expect(status, `${words.join(' ')}: ${stderr}`).toBe(0);
  return stdout;
}

describe('tar', () => {
  it('is unpacked by tar to what a recover brings back, to the nanosecond', async () => {
    const deep = `${'long-directory-name/'.repeat(7)}file`;
    const store = await keepState((state) => {
      mkdirSync(path.join(state, path.dirname(deep)), { recursive: true });
      writeFileSync(path.join(state, deep), 'deep');
      writeFileSync(path.join(state, 'large'), noise(20_000_001, 1), { mode: 0o640 });
      writeFileSync(path.join(state, 'empty'), '');
      writeFileSync(path.join(state, 'ünïcode'), 'u');
      writeFileSync(Buffer.concat([Buffer.from(`${state}/`), Buffer.from([0x66, 0xff, 0xfe])]), 'not UTF-8');
      linkSync(path.join(state, 'large'), path.join(state, 'same-as-large'));
      symlinkSync('ünïcode', path.join(state, 'link'));
      utimesSync(path.join(state, 'empty'), 123_456_789.25, 123_456_789.25);
      utimesSync(path.join(state, 'ünïcode'), -1.5, -1.5);
    });
    const parts: Buffer[] = [];
    const report = await exportTar(store, async (bytes) => void parts.push(Buffer.from(bytes)));
    const archive = path.join(older.base, 'state.tar');
    writeFileSync(archive, Buffer.concat(parts));
    expect(report.writtenBytes).toBe(Buffer.concat(parts).length);
    const unpacked = path.join(older.base, 'unpacked');
    mkdirSync(unpacked);
    run(['tar', '-x', '-p', '-f', archive, '-C', unpacked]);
    const out = path.join(older.base, 'out');
    await recover(store, out);
    expect(listing(unpacked, true)).toEqual(listing(out, true));
    expect(listing(unpacked, true).length).toBe(14);
  });

  it('carries extended attributes', async () => {
    const store = await keepState((state) => {
      writeFileSync(path.join(state, 'a'), 'a');
      run(['setfattr', '-n', 'user.note', '-v', 'kept with the file', path.join(state, 'a')]);
      run(['setfattr', '-n', 'user.x=1%3D', '-v', 'y=2', path.join(state, 'a')]);
    });
    const parts: Buffer[] = [];
    await exportTar(store, async (bytes) => void parts.push(Buffer.from(bytes)));
    expect(Buffer.concat(parts).toString('latin1')).toContain('SCHILY.xattr.user.note=kept with the file\n');
    const archive = path.join(older.base, 'state.tar');
    writeFileSync(archive, Buffer.concat(parts));
    const unpacked = path.join(older.base, 'unpacked');
    mkdirSync(unpacked);
    run(['tar', '-x', '--xattrs', '-f', archive, '-C', unpacked]);
    expect(run(['getfattr', '--only-values', '-n', 'user.note', path.join(unpacked, 'a')])).toBe('kept with the file');
    expect(run(['getfattr', '--only-values', '-n', 'user.x=1%3D', path.join(unpacked, 'a')])).toBe('y=2');
  });

  it('takes some paths, of any checkpoint', async () => {
    const store = await keepState((state) => {
      mkdirSync(path.join(state, 'd'));
      writeFileSync(path.join(state, 'd/a'), 'one');
      writeFileSync(path.join(state, 'b'), 'b');
    });
    writeFileSync(path.join(older.base, 'state/d/a'), 'two!');
    await capture(store, path.join(older.base, 'state'));
    const archive = async (options: object): Promise<string> => {
      const parts: Buffer[] = [];
      await exportTar(store, async (bytes) => void parts.push(Buffer.from(bytes)), options);
      const { status, stdout } = spawnSync('tar', ['-x', '-O', '-f', '-'], {
        input: Buffer.concat(parts),
        encoding: 'utf8',
      });
      expect(status).toBe(0);
      return stdout;
    };
    expect(await archive({ at: 1, paths: ['d'] })).toBe('one');
    expect(await archive({ paths: ['d/a'] })).toBe('two!');
    await expect(archive({ at: 9 })).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
  });
});

describe('a BoltDB file', () => {
  it('comes back as it was, whatever the number of files and their size', async () => {
    const contents = new Map<string, Buffer>();
    const store = await keepState((state) => {
      for (let at = 0; at < 700; at += 1)
        contents.set(`d${at % 9}/${'n'.repeat(at % 90)}${at}`, Buffer.from(`file ${at}`));
      contents.set('large', noise(5_000_000, 2));
      contents.set('empty', Buffer.alloc(0));
      contents.set('zeros', Buffer.alloc(3_000_000));
      for (const [name, bytes] of contents) {
        mkdirSync(path.dirname(path.join(state, name)), { recursive: true });
        writeFileSync(path.join(state, name), bytes);
      }
      symlinkSync('large', path.join(state, 'link'));
    });
    const file = path.join(older.base, 'exported.bolt');
    const report = await exportBolt(store, file);
    expect(report).toMatchObject({ entries: contents.size, leftOut: [{ path: 'link' }] });
    expect(report.writtenBytes).toBe(readFileSync(file).length);
    const again = older.keep(await openStoreOrImport(file));
    expect((await readMigrationReport(importedStorePath(file)))?.damage).toEqual([]);
    const files = await newestFiles(again);
    expect(files.size).toBe(contents.size);
    for (const [name, bytes] of contents) expect(files.get(name)?.equals(bytes), name).toBe(true);
  });

  it('is not there at all when it cannot be written whole', async () => {
    const store = await keepState((state) => writeFileSync(path.join(state, 'a'), 'a'));
    const file = path.join(older.base, 'exported.bolt');
    await expect(exportBolt(store, file, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'DK_ABORTED',
    });
    expect(readdirSync(older.base).filter((name) => name.startsWith('exported'))).toEqual([]);
  });
});
