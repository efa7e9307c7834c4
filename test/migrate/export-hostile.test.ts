/** Exports of stores that somebody crafted: the real tar, told to follow whatever it unpacks, stays in its directory. */
import { spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import {
  type ExportOptions,
  type ExportReport,
  exportBolt,
  exportTar,
  openStoreOrImport,
} from '../../src/migrate/migrate.js';
import { Fixture } from '../recover/tree-fixture.js';
import { newestFiles } from './older-stores.js';

let fixture: Fixture;
let outside = '';
let unpacked = '';
beforeEach(async () => {
  fixture = await Fixture.create(loadEngine());
  outside = join(fixture.directory, 'outside');
  unpacked = join(fixture.directory, 'unpacked');
  mkdirSync(outside);
  mkdirSync(unpacked);
  writeFileSync(join(outside, 'theirs'), 'theirs');
});
afterEach(() => fixture.remove());

function tar(...words: string[]): string {
  const { status, stdout, stderr } = spawnSync('tar', words, { encoding: 'latin1' });
  expect(status, stderr).toBe(0);
  return stdout;
}

/** Archive of the newest checkpoint, or of what the options say. */
async function archived(options: ExportOptions = {}): Promise<{ file: string; report: ExportReport }> {
  const parts: Buffer[] = [];
  const report = await exportTar(fixture.store, async (bytes) => void parts.push(Buffer.from(bytes)), options);
  const file = join(fixture.directory, 'state.tar');
  writeFileSync(file, Buffer.concat(parts));
  return { file, report };
}

const attribute = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.of(name.length), Buffer.from(name, 'latin1'), Buffer.of(value.length), Buffer.from(value)]);

describe('entries below what is no directory', () => {
  const tree = () => ({
    d: { type: 'directory' as const },
    'd/in': { content: 'in' },
    'd/l': { type: 'symlink' as const, content: outside },
    'd/l/deep/er': { content: 'deeper' },
    f: { content: 'file' },
    'f/x': { content: 'below a file' },
    l: { type: 'symlink' as const, content: outside },
    'l/d': { type: 'directory' as const },
    'l/d/y': { content: 'y' },
    'l/theirs': { content: 'ours' },
    'no-directory/kept': { content: 'its directory is in no checkpoint' },
  });
  const refused = ['d/l/deep/er', 'f/x', 'l/d', 'l/d/y', 'l/theirs'];
  const rest = ['d/', 'd/in', 'd/l', 'f', 'l', 'no-directory/kept'];

  it.each(['newest', 'older'])('are in no archive of the %s checkpoint, and named', async (which) => {
    await fixture.commit(tree());
    if (which === 'older') await fixture.commit({ l: { type: 'directory' }, f: null });
    const { file, report } = await archived({ at: 1 });
    expect(report.leftOut.map(({ path }) => path).sort()).toEqual(refused);
    expect(report.leftOut.find(({ path }) => path === 'l/d/y')?.reason).toBe('l above it is a symbolic link');
    expect(report.leftOut.find(({ path }) => path === 'f/x')?.reason).toBe('f above it is a file');
    expect(report.entries).toBe(rest.length);
    expect(tar('-t', '-f', file).trim().split('\n').sort()).toEqual(rest);
    // -P: links are made as they come, so that an entry behind one would go through it.
    tar('-x', '-P', '-f', file, '-C', unpacked);
    expect(readdirSync(outside)).toEqual(['theirs']);
    expect(readFileSync(join(outside, 'theirs'), 'utf8')).toBe('theirs');
    expect(readlinkSync(join(unpacked, 'd/l'))).toBe(outside);
    expect(readFileSync(join(unpacked, 'no-directory/kept'), 'utf8')).toMatch(/no checkpoint/);
  });

  it('are refused when only they are asked for', async () => {
    await fixture.commit(tree());
    const { file, report } = await archived({ paths: ['l/theirs', 'd/in'] });
    expect(report.leftOut.map(({ path }) => path)).toEqual(['l/theirs']);
    expect(tar('-t', '-f', file)).toBe('d/in\n');
  });

  it('are in no BoltDB file', async () => {
    await fixture.commit(tree());
    const file = join(fixture.directory, 'exported.bolt');
    const report = await exportBolt(fixture.store, file);
    expect(report.leftOut.map(({ path }) => path).sort()).toEqual([...refused, 'd/l', 'l'].sort());
    const again = await openStoreOrImport(file);
    const files = await newestFiles(again);
    await again.close();
    expect([...files.keys()].sort()).toEqual(['d/in', 'f', 'no-directory/kept']);
  });
});

it('entries that contradict themselves are left out, the rest is in the archive', async () => {
  await fixture.commit({
    a: { content: 'a' },
    b: { type: 'symlink', content: 'x\0y' },
    c: { content: 'c', xattrs: Buffer.of(200, 1) },
    d: { content: 'd', xattrs: attribute('user.\0', 'x') },
    // One number for two contents, and for something that is no file.
    g: { content: 'first', linkId: 7n },
    h: { content: 'other', linkId: 7n },
    i: { type: 'symlink', content: 'a', linkId: 7n },
    j: { content: 'first', linkId: 7n },
  });
  const { file, report } = await archived();
  expect(report.leftOut.map(({ path }) => path)).toEqual(['b', 'c', 'd']);
  tar('-x', '-f', file, '-C', unpacked);
  const contents = ['a', 'g', 'h', 'j'].map((name) => readFileSync(join(unpacked, name), 'utf8'));
  expect(contents).toEqual(['a', 'first', 'other', 'first']);
  expect(readlinkSync(join(unpacked, 'i'))).toBe('a');
  expect(lstatSync(join(unpacked, 'j')).ino).toBe(lstatSync(join(unpacked, 'g')).ino);
});

describe('files that run as somebody else', () => {
  const CAPABLE = 'security.capability';
  const tree = {
    able: { content: 'able', xattrs: Buffer.concat([attribute('user.note', 'x'), attribute(CAPABLE, 'all of them')]) },
    d: { type: 'directory' as const, mode: 0o2775 },
    group: { content: 'group', mode: 0o2755 },
    plain: { content: 'plain' },
    // A key of the archive ends at its first `=`: unescaped, this would be that attribute.
    sly: { content: 'sly', xattrs: attribute(`${CAPABLE}=all`, 'of them') },
    user: { content: 'user', mode: 0o4755 },
  };
  const modes = () => ['user', 'group', 'd'].map((name) => lstatSync(join(unpacked, name)).mode & 0o7777);

  it('lose that in an archive', async () => {
    await fixture.commit(tree);
    const { file, report } = await archived();
    expect(report).toMatchObject({ identityDropped: 3, leftOut: [] });
    tar('-x', '-p', '-f', file, '-C', unpacked);
    expect(modes()).toEqual([0o755, 0o755, 0o2775]);
    const listed = tar('-t', '-vv', '--xattrs', '--xattrs-include=*', '-f', file);
    expect(listed).toContain('user.note');
    expect(listed).not.toMatch(/: *\d+ security\.capability$/m);
  });

  it('keep it when that is asked for', async () => {
    await fixture.commit(tree);
    const { file, report } = await archived({ setuid: true });
    expect(report).toMatchObject({ identityDropped: 0, leftOut: [] });
    tar('-x', '-p', '-f', file, '-C', unpacked);
    expect(modes()).toEqual([0o4755, 0o2755, 0o2775]);
    const listed = tar('-t', '-vv', '--xattrs', '--xattrs-include=*', '-f', file);
    expect(listed.match(/: *\d+ security\.capability$/gm)?.length).toBe(1);
  });
});
