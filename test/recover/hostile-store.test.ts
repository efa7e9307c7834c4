/** Stores that somebody crafted, and targets that are not what they seem: nothing gets out, nothing is wrong in silence. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Engine, STAT, STAT_COLUMNS, type StatIndex } from '../../src/engine/engine.js';
import { removedVersion, VERSION_TYPE, withoutLentIdentity } from '../../src/format/format.js';
import { NameCollisions, oddName } from '../../src/recover/odd-names.js';
import { recover } from '../../src/recover/recover.js';
import { engines, Fixture, keepings, listTree } from './tree-fixture.js';

describe.each(keepings())('%s', (_name, { engine, schema }) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine, schema);
  });
  afterEach(() => fixture.remove());

  test('links in the target are replaced, not followed', async () => {
    const outside = join(fixture.directory, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'f'), 'theirs');
    mkdirSync(fixture.target);
    symlinkSync(outside, fixture.at('d'));
    symlinkSync(join(outside, 'f'), fixture.at('f'));
    await fixture.commit({ d: { type: 'directory' }, 'd/f': { content: 'ours' }, f: { content: 'ours' } });
    const report = await recover(fixture.store, fixture.target);
    expect(readFileSync(join(outside, 'f'), 'utf8')).toBe('theirs');
    expect(readdirSync(outside)).toEqual(['f']);
    expect(readFileSync(fixture.at('f'), 'utf8')).toBe('ours');
    if (report.damaged.length === 0) expect(readFileSync(fixture.at('d/f'), 'utf8')).toBe('ours');
  });

  test('the longest names and the deepest path come back', async () => {
    const name = 'n'.repeat(255);
    const deep = Array.from({ length: 16 }, () => 'd'.repeat(250));
    const tree: Record<string, { type: 'directory' } | { content: string }> = { [name]: { content: 'long' } };
    for (let depth = 1; depth <= deep.length; depth += 1) tree[deep.slice(0, depth).join('/')] = { type: 'directory' };
    const file = `${deep.join('/')}/f`;
    tree[file] = { content: 'at the end' };
    await fixture.commit(tree);
    const report = await recover(fixture.store, fixture.target);
    expect(report.damaged).toEqual([]);
    expect(readFileSync(fixture.at(name), 'utf8')).toBe('long');
    const found = listTree(fixture.target);
    expect(found).toContain(file);
  });

  test('names that the file system takes for one are damage', async () => {
    const tree = {
      A: { content: 'one' },
      a: { content: 'two' },
      b: { content: 'three' },
      // Names that are one nowhere but in a file system that takes more for one than this does for damage.
      [Buffer.from('c\u00dfc').toString('latin1')]: { content: 'five' },
      [Buffer.from('c\u00adss\u200cC').toString('latin1')]: { content: 'six' },
      sub: { type: 'directory' as const },
      'sub/file': { content: 'four' },
    };
    await fixture.commit(tree);
    expect((await recover(fixture.store, fixture.target)).damaged).toEqual([]);
    await fixture.reopen(caseless(engine));
    const report = await recover(fixture.store, join(fixture.target, 'sub', 'again'));
    expect(report.damaged.map(({ path, code }) => [path, code])).toEqual([
      ['A', 'DK_UNSAFE_PATH'],
      ['a', 'DK_UNSAFE_PATH'],
      ['c\u00adss\u200cC', 'DK_UNSAFE_PATH'],
      ['c\u00dfc', 'DK_UNSAFE_PATH'],
    ]);
    const chosen = await recover(fixture.store, join(fixture.target, 'sub', 'some'), { paths: ['A', 'sub/file', 'a'] });
    expect(chosen.damaged.map(({ path }) => path)).toEqual(['A', 'a']);
  });
});

describe.each(engines())('a link of schema 2 (%s)', (_name, engine) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine);
  });
  afterEach(() => fixture.remove());

  test('entries below a link of the store do not go through it', async () => {
    const outside = join(fixture.directory, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'theirs'), 'theirs');
    await fixture.commit({
      l: { type: 'symlink', content: outside },
      'l/x': { content: 'x' },
      'l/theirs': { content: 'ours' },
      'l/d': { type: 'directory' },
      'l/d/y': { content: 'y' },
      'l/s': { type: 'symlink', content: '/etc/passwd' },
      large: { type: 'symlink', content: outside },
      'large/z': { content: Buffer.alloc(3 << 20, 'z') },
      good: { content: 'good' },
    });
    const report = await recover(fixture.store, fixture.target);
    expect(readdirSync(outside)).toEqual(['theirs']);
    expect(readFileSync(join(outside, 'theirs'), 'utf8')).toBe('theirs');
    expect(readFileSync(fixture.at('good'), 'utf8')).toBe('good');
    expect(report.damaged.length).toBeGreaterThan(0);
    expect(lstatSync(fixture.target).isDirectory()).toBe(true);
  });

  test('one number for two contents does not hide that the file system takes their names for one', async () => {
    await fixture.commit({ A: { content: 'one', linkId: 3n }, a: { content: 'two', linkId: 3n } });
    await fixture.reopen(caseless(engine));
    expect((await recover(fixture.store, fixture.target)).damaged.map(({ path }) => path)).toEqual(['A', 'a']);
  });
});

/** As a file system looks that does not tell `A` from `a`. */
function caseless(engine: Engine): Engine {
  const createStatIndex = (): StatIndex => {
    const index = engine.createStatIndex();
    const scanPaths: StatIndex['scanPaths'] = async (options) => {
      const found = await index.scanPaths(options);
      for (const [at, path] of found.paths.entries()) {
        found.rows[at * STAT_COLUMNS + STAT.ino] = BigInt(path.toLowerCase().charCodeAt(0));
      }
      return found;
    };
    return new Proxy(index, {
      get: (target, name) => {
        if (name === 'scanPaths') return scanPaths;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  return new Proxy(engine, {
    get: (target, name) => {
      if (name === 'createStatIndex') return createStatIndex;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe('names that may be one', () => {
  const grouped = (paths: readonly string[], selected: readonly string[] | null = null): string[][] => {
    const bytes = (path: string): string => Buffer.from(path).toString('latin1');
    const collisions = new NameCollisions(selected === null ? null : selected.map(bytes));
    for (const path of paths) collisions.add({ ...removedVersion(bytes(path), 1), type: VERSION_TYPE.file });
    collisions.end();
    return collisions.groups.map((group) => group.map(({ path }) => Buffer.from(path, 'latin1').toString()));
  };

  test.each<[string, string[], string[][]]>([
    ['cases', ['A', 'B', 'a', 'x/A', 'x/b'], [['A', 'a']]],
    ['forms of a letter', ['\u00e4', 'a', 'a\u0308'], [['\u00e4', 'a\u0308']]],
    [
      'cases of other letters',
      ['\u00c4', '\u00e4', '\u03a3', '\u03c3'],
      [
        ['\u00c4', '\u00e4'],
        ['\u03a3', '\u03c3'],
      ],
    ],
    ['dots and spaces at the end', ['a', 'a.', 'a ', 'b.c'], [['a', 'a.', 'a ']]],
    [
      'letters that have none, or two, above them',
      ['stra\u00dfe', 'stra\u1e9ee', 'STRASSE', '\ufb01n', 'FIN', 'a'],
      [
        ['stra\u00dfe', 'stra\u1e9ee', 'STRASSE'],
        ['\ufb01n', 'FIN'],
      ],
    ],
    [
      'sigma at the end',
      ['\u03b1\u03c2', '\u0391\u03a3', '\u03b1\u03c3', '\u03b1'],
      [['\u03b1\u03c2', '\u0391\u03a3', '\u03b1\u03c3']],
    ],
    [
      'what no one sees',
      ['ab', 'a\u00adb', 'a\u200cB', 'a\ufe0fb', 'ab.\u200d', 'a b'],
      [['ab', 'a\u00adb', 'a\u200cB', 'a\ufe0fb', 'ab.\u200d']],
    ],
    ['other directories are no matter', ['A', 'x/a', 'y/a', 'z/A'], []],
  ])('%s', (_title, paths, expected) => {
    expect(grouped(paths)).toEqual(expected);
  });

  test('selected paths come in any order, and their directories not at all', () => {
    const selected = ['A', 'd/f', 'a', 'P/q/x', 'p/Q/y', 'm'];
    expect(grouped(['A', 'd/f', 'a', 'P/q/x', 'p/Q/y', 'm', 'm/1', 'm/N', 'm/n'], selected)).toEqual([
      ['m/N', 'm/n'],
      ['A', 'a'],
      ['P/q', 'p/Q'],
      ['P', 'p'],
    ]);
  });
});

test.each([
  ['con', true],
  ['a/NUL.txt', true],
  ['COM1 .log', true],
  ['lpt\u00b2', true],
  ['a:stream', true],
  ['a\\b', true],
  ['d./x', true],
  ['a ', true],
  ['bell\u0007', true],
  ['console', false],
  ['a/com10', false],
  ['.hidden', false],
])('%s on Windows: refused %s', (path, refused) => {
  const bytes = Buffer.from(path).toString('latin1');
  expect(oddName(bytes, 'win32') !== null).toBe(refused);
  expect(oddName(bytes, 'linux')).toBeNull();
  expect(oddName('\xff', 'win32')).not.toBeNull();
});

describe('another identity', () => {
  const attribute = (name: string, value: string): Buffer =>
    Buffer.concat([Buffer.of(name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]);
  const file = { ...removedVersion('f', 1), type: VERSION_TYPE.file, mode: 0o755 };
  const plain = attribute('user.a', 'security.capability');

  test('is taken from files, and from nothing else', () => {
    expect(withoutLentIdentity({ ...file, mode: 0o6755 }).mode).toBe(0o755);
    const directory = { ...file, type: VERSION_TYPE.directory, mode: 0o2775 };
    expect(withoutLentIdentity(directory)).toBe(directory);
    const harmless = { ...file, xattrs: plain };
    expect(withoutLentIdentity(harmless)).toBe(harmless);
    const able = Buffer.concat([attribute('security.capability', 'all'), plain]);
    expect(withoutLentIdentity({ ...file, xattrs: able }).xattrs.equals(plain)).toBe(true);
    const broken = Buffer.concat([able, Buffer.of(200)]);
    expect(withoutLentIdentity({ ...file, xattrs: broken }).xattrs.length).toBe(0);
  });
});
