import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { planRecover, recover } from '../../src/recover/recover.js';
import type { Store } from '../../src/store/store.js';
import { damageContent, engines, Fixture, keepings, listTree, noise, PIECE } from './tree-fixture.js';

/** The store, with other paths than it has. */
function withForgedPaths(store: Store, forged: ReadonlyMap<string, string>): Store {
  return new Proxy(store, {
    get(target, key) {
      if (key === 'entries') {
        return async function* (options: Parameters<Store['entries']>[0]) {
          for await (const batch of target.entries(options)) {
            yield batch.map((version) => ({ ...version, path: forged.get(version.path) ?? version.path }));
          }
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe.each(keepings())('damage (%s)', (_name, { engine, schema }) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine, schema);
  });
  afterEach(() => fixture.remove());

  test('one damaged small file is reported, all others come back', async () => {
    const bad = noise(5000, 'bad');
    await fixture.commit({
      a: { content: 'x' },
      bad: { content: bad },
      z: { content: noise(5000, 'z') },
      big: { content: noise(2 * PIECE) },
    });
    await damageContent(fixture, 'bad', bad);
    mkdirSync(fixture.target);
    writeFileSync(fixture.at('bad'), 'what was there');
    const report = await recover(fixture.store, fixture.target);
    expect(report.damaged).toHaveLength(1);
    expect(report.damaged[0]).toMatchObject({ kind: 'entry', path: 'bad' });
    expect(report.damaged[0]?.code).toMatch(/^DK_CORRUPT/);
    expect(report).toMatchObject({ rootVerified: false, written: 3 });
    expect(readFileSync(fixture.at('bad'), 'utf8')).toBe('what was there');
    expect(listTree(fixture.target)).toEqual(['a', 'bad', 'big', 'z']);
    const lines = readFileSync(join(fixture.store.quarantinePath, 'recover.jsonl'), 'utf8').trim().split('\n');
    expect(JSON.parse(lines[0] as string)).toMatchObject({ path: 'bad', sequence: 1 });
  });

  test('a damaged large file leaves nothing partial; strict fails after the rest is in place', async () => {
    const content = noise(6 * PIECE);
    await fixture.commit({
      a: { content: 'x' },
      big: { content, linkId: 4n },
      // Schema 1 has no links: it would keep a second copy, from which both come back.
      ...(schema === 2 && { other: { content, linkId: 4n } }),
      'z\xff': { content: 'y' },
    });
    await damageContent(fixture, 'big', content.subarray(5 * PIECE));
    const failed = recover(fixture.store, fixture.target, { strict: true });
    await expect(failed).rejects.toMatchObject({ code: 'DK_PARTIAL', facts: { actual: schema === 2 ? 2 : 1 } });
    expect(listTree(fixture.target)).toEqual(['a', 'z\xff']);
  });

  test('hostile paths of a forged version are refused', async () => {
    const evil = { content: 'evil' };
    await fixture.commit({ good: { content: 'x' }, h1: evil, h2: evil, h3: evil, h4: { type: 'directory' }, h5: evil });
    const refusals = schema === 2 ? 5 : 4;
    const forged = new Map([
      ['h1', '../escaped'],
      ['h2', '/deep/escaped'],
      ['h3', 'a/../../escaped'],
      ['h4', 'a//b'],
      ['h5', ''],
    ]);
    // A store neither takes such paths nor gives them back: recover must not rely on it.
    const store = withForgedPaths(fixture.store, forged);
    const plan = await planRecover(store);
    const report = await recover(store, fixture.target);
    // The forged root is reported as well.
    const refused = report.damaged.filter(({ kind }) => kind === 'entry');
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['DK_UNSAFE_PATH']));
    expect(refused).toHaveLength(refusals);
    expect(plan.damaged).toHaveLength(refusals);
    expect(listTree(fixture.target)).toEqual(['good']);
    expect(existsSync(join(fixture.directory, 'escaped'))).toBe(false);
  });

  test('a symbolic link planted in the target is replaced, not followed', async () => {
    const outside = join(fixture.directory, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'precious'), 'precious');
    mkdirSync(fixture.target);
    symlinkSync(outside, join(fixture.target, 'd'));
    symlinkSync(join(outside, 'precious'), join(fixture.target, 'file'));
    await fixture.commit({ d: { type: 'directory' }, 'd/in': { content: 'x' }, file: { content: 'mine' } });
    const report = await recover(fixture.store, fixture.target);
    expect(report).toMatchObject({ damaged: [], rootVerified: true });
    expect(listTree(outside)).toEqual(['precious']);
    expect(readFileSync(join(outside, 'precious'), 'utf8')).toBe('precious');
    expect(listTree(fixture.target)).toEqual(['d', 'd/in', 'file']);
    expect(readFileSync(fixture.at('file'), 'utf8')).toBe('mine');
  });

  test('an abort ends quickly and leaves no temporary file', async () => {
    const content = noise(24 * PIECE);
    await fixture.commit({ a: { content: 'x' }, big: { content } });
    const controller = new AbortController();
    const run = recover(fixture.store, fixture.target, {
      signal: controller.signal,
      onProgress: (done) => {
        if (done > 4 * PIECE) controller.abort();
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'DK_ABORTED' });
    expect(listTree(fixture.target).filter((path) => path !== 'a')).toEqual([]);
    await expect(recover(fixture.store, fixture.target, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'DK_ABORTED',
    });
  });
});

describe.each(engines())('damage of schema 2 with the %s engine', (_name, engine) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine);
  });
  afterEach(() => fixture.remove());

  test('a recipe that yields other bytes is caught by the digest of the file', async () => {
    const { recipe } = await recipeOf(noise(2 * PIECE, 'other'));
    const { recipe: small } = await recipeOf(Buffer.concat([noise(4096, 'p'), Buffer.alloc(4096)]));
    await fixture.commit({
      big: { content: noise(2 * PIECE), forge: { recipe } },
      small: { content: noise(8192), forge: { recipe: small } },
      link: { type: 'symlink', content: 'there', forge: { linkText: Buffer.from('other') } },
    });
    const report = await recover(fixture.store, fixture.target);
    expect(report.damaged.map(({ path, code }) => [path, code]).sort()).toEqual([
      ['big', 'DK_DIGEST_MISMATCH'],
      ['link', 'DK_DIGEST_MISMATCH'],
      ['small', 'DK_DIGEST_MISMATCH'],
    ]);
    expect(listTree(fixture.target)).toEqual([]);
  });

  async function recipeOf(content: Buffer) {
    await fixture.commit({ donor: { content, sparse: true } });
    const [version] = await fixture.store.heads(['donor']);
    await fixture.commit({ donor: null });
    if (version === undefined) throw new Error('no donor');
    return version;
  }

  test('an entry below a symbolic link of the same checkpoint is refused', async () => {
    const outside = join(fixture.directory, 'outside');
    mkdirSync(outside);
    await fixture.commit({
      a: { type: 'symlink', content: outside },
      'a/file': { content: 'evil' },
      'a/big': { content: noise(2 * PIECE) },
    });
    const report = await recover(fixture.store, fixture.target);
    expect(listTree(outside)).toEqual([]);
    expect(report.damaged.length).toBeGreaterThan(0);
    expect(report.rootVerified).toBe(false);
  });

  test('lost metadata is rebuilt from the packs, and until then nothing is removed', async () => {
    await fixture.commit({ a: { content: 'x' }, b: { content: 'y' } });
    await recover(fixture.store, fixture.target);
    const losing = loseEntry(fixture, 'b');
    const report = await recover(losing, fixture.target);
    expect(report).toMatchObject({ rootVerified: true, damaged: [], kept: 2, removed: 0 });
    const lost = loseEntry(fixture, 'b', () => Promise.reject(new Error('read only')));
    const second = await recover(lost, fixture.target);
    expect(second.damaged).toMatchObject([{ kind: 'root', code: 'DK_DIGEST_MISMATCH' }]);
    expect(second).toMatchObject({ rootVerified: false, removed: 0 });
    expect(listTree(fixture.target)).toEqual(['a', 'b']);
    await expect(recover(lost, fixture.target, { strict: true })).rejects.toMatchObject({ code: 'DK_PARTIAL' });
  });
});

test('a damaged snapshot of schema 1 is read from an equal file, and verify names it', async () => {
  const [, engine] = engines()[0] as [string, Engine];
  const fixture = await Fixture.create(engine, 1);
  const large = noise(2 * PIECE);
  await fixture.commit({
    a: { content: 'same' },
    b: { content: 'same' },
    x: { content: large },
    y: { content: large },
  });
  for (const [path, content] of [['a', Buffer.from('same')] as const, ['y', large] as const]) {
    await damageContent(fixture, path, content);
  }
  expect(await recover(fixture.store, fixture.target)).toMatchObject({ damaged: [], rootVerified: true });
  expect(readFileSync(fixture.at('y')).equals(large)).toBe(true);
  expect((await fixture.store.verify()).damage.map(({ affected }) => affected[0]?.path)).toEqual(['a', 'y']);
  await damageContent(fixture, 'x', large);
  // Large files are brought back side by side: either may be the first to fail.
  const { damaged } = await recover(fixture.store, join(fixture.directory, 'again'));
  expect(damaged.map(({ path }) => path).sort()).toEqual(['x', 'y']);
  await fixture.remove();
});

/** The store, with one key hidden until the index is rebuilt. */
function loseEntry(fixture: Fixture, lost: string, rebuild?: () => Promise<never>): Fixture['store'] {
  let hidden = true;
  const { store } = fixture;
  return new Proxy(store, {
    get(target, name) {
      if (name === 'rebuildIndex') {
        return async () => {
          if (rebuild) return rebuild();
          hidden = false;
          return target.rebuildIndex();
        };
      }
      if (name === 'entries') {
        return async function* (options: object) {
          for await (const batch of target.entries(options)) yield batch.filter(({ path }) => !hidden || path !== lost);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
