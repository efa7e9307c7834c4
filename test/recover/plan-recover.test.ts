/** What a plan says is removed is what a recover removes. */
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { planRecover, recover } from '../../src/recover/recover.js';
import { Fixture, keepings, listTree, type Tree } from './tree-fixture.js';

const TREE: Tree = {
  'a.txt': { content: 'hello' },
  dir: { type: 'directory' },
  'dir/file': { content: 'there' },
  way: { content: 'a file where the target has a directory' },
};

describe.each(keepings())('plan of a recover (%s)', (_name, { engine, schema }) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine, schema);
    await fixture.commit(TREE);
  });
  afterEach(() => fixture.remove());

  function fill(): void {
    const at = (name: string): string => join(fixture.target, name);
    for (const name of ['dir', 'more/deep', 'way/in', 'held', 'void']) mkdirSync(at(name), { recursive: true });
    for (const name of ['a.txt', 'extra', 'dir/extra', 'more/deep/file', 'way/in/file', 'held/keep.log', 'held/gone'])
      writeFileSync(at(name), name);
    symlinkSync('nowhere', at('more/link'));
  }

  const GONE = [
    'dir/extra',
    'extra',
    'held/gone',
    'more',
    'more/deep',
    'more/deep/file',
    'more/link',
    'void',
    'way',
    'way/in',
    'way/in/file',
  ];

  test('names what is removed, and touches nothing', async () => {
    fill();
    const before = listTree(fixture.target);
    const options = { stateDir: fixture.target, ignore: ['*.log'] };
    const plan = await planRecover(fixture.store, options);
    expect(plan.removals).toEqual(GONE.map((path) => ({ path })));
    expect(plan.removed).toBe(GONE.length);
    expect(listTree(fixture.target)).toEqual(before);
    const { removed } = await recover(fixture.store, fixture.target, { ignore: ['*.log'] });
    expect(removed).toBe(GONE.length);
    const after = listTree(fixture.target);
    expect(before.filter((path) => !after.includes(path))).toEqual(GONE.filter((path) => path !== 'way'));
    expect(await planRecover(fixture.store, options)).toMatchObject({ removed: 0, removals: [] });
  });

  test('is about what is selected, and nothing where extra entries are kept', async () => {
    fill();
    const stateDir = fixture.target;
    expect(await planRecover(fixture.store, { stateDir, removeExtra: false })).toMatchObject({ removed: 0 });
    expect(await planRecover(fixture.store, { stateDir, paths: ['dir'] })).toMatchObject({ removed: 0 });
    const within = { paths: ['dir'], removeExtra: true };
    expect((await planRecover(fixture.store, { stateDir, ...within })).removals).toEqual([{ path: 'dir/extra' }]);
    expect((await recover(fixture.store, stateDir, within)).removed).toBe(1);
  });

  test('makes no directory, and refuses what is none', async () => {
    const stateDir = join(fixture.directory, 'not', 'there');
    expect(await planRecover(fixture.store, { stateDir })).toMatchObject({ removed: 0, removals: [] });
    expect(existsSync(join(fixture.directory, 'not'))).toBe(false);
    const plain = join(fixture.directory, 'plain');
    writeFileSync(plain, '');
    await expect(planRecover(fixture.store, { stateDir: plain })).rejects.toMatchObject({
      code: 'DK_STATE_DIR',
      message: expect.stringMatching(/plain is not a directory$/),
    });
    expect((await planRecover(fixture.store)).removed).toBeNull();
  });

  test('leaves a store inside the directory, and what is above it, alone', async () => {
    const stateDir = fixture.directory;
    writeFileSync(join(stateDir, 'stray'), '');
    const { removals } = await planRecover(fixture.store, { stateDir });
    expect(removals).toEqual([{ path: 'stray' }]);
    await recover(fixture.store, stateDir);
    expect(readdirSync(stateDir)).toContain('store');
    expect(existsSync(join(stateDir, 'stray'))).toBe(false);
  });
});
