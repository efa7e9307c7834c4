/** A recover into a directory that the system does not let be looked at, or written to, as a whole. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Engine, STAT, STAT_COLUMNS, type TreeChanges } from '../../src/engine/engine.js';
import { planRecover, recover } from '../../src/recover/recover.js';
import { engines, Fixture, type Tree } from './tree-fixture.js';

const TREE: Tree = {
  d: { type: 'directory' },
  'd/file': { type: 'file', content: 'content' },
  'd/right': { type: 'file', content: 'right already' },
};

const REFUSED = -5;

function refused(): Error {
  return Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
}

/** As it is, but for these members. */
function changed<T extends object>(object: T, members: Readonly<Record<string, unknown>>): T {
  return new Proxy(object, {
    get: (target, name) => {
      if (typeof name === 'string' && name in members) return members[name];
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** What is below the directory is not among it, and of the directory itself there is the error alone. */
function without(found: TreeChanges, directory: string): TreeChanges {
  const below = directory === '' ? '' : `${directory}/`;
  const left = found.paths.map((path, index) => ({ path, index })).filter(({ path }) => !path.startsWith(below));
  const others = left.filter(({ path }) => path !== directory);
  const rows = new BigInt64Array((others.length + 1) * STAT_COLUMNS);
  rows[STAT.type] = BigInt(REFUSED);
  for (const [at, { index }] of others.entries()) {
    rows.set(found.rows.subarray(index * STAT_COLUMNS, (index + 1) * STAT_COLUMNS), (at + 1) * STAT_COLUMNS);
  }
  return { ...found, paths: [directory, ...others.map(({ path }) => path)], rows };
}

describe.each(engines())('into a directory that is refused, engine %s', (_name, engine: Engine) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine);
    await fixture.commit(TREE);
    mkdirSync(`${fixture.target}/d`, { recursive: true });
    writeFileSync(`${fixture.target}/d/extra`, 'extra');
    writeFileSync(`${fixture.target}/extra`, 'extra');
  });
  afterEach(() => fixture.remove());

  it.each(['', 'd'])(
    'tells of the directory %j that could not be listed, and removes the rest when it can',
    async (directory) => {
      const createStatIndex = () => {
        const index = engine.createStatIndex();
        const scan = async (options: Parameters<typeof index.scan>[0]) => without(await index.scan(options), directory);
        return changed(index, { scan });
      };
      await fixture.reopen(changed(engine, { createStatIndex }));
      const report = await recover(fixture.store, fixture.target);
      expect(report.damaged).toMatchObject([{ kind: 'entry', path: directory, code: 'DK_IO' }]);
      expect(report.rootVerified).toBe(false);
      expect(existsSync(`${fixture.target}/d/extra`)).toBe(true);
      await expect(recover(fixture.store, fixture.target, { strict: true })).rejects.toMatchObject({
        code: 'DK_PARTIAL',
      });
      // Nothing is to be removed: nothing is missing from what is known.
      expect((await recover(fixture.store, fixture.target, { removeExtra: false })).damaged).toEqual([]);
      await fixture.reopen(engine);
      expect(await recover(fixture.store, fixture.target)).toMatchObject({ damaged: [], rootVerified: true });
      expect([`${fixture.target}/d/extra`, `${fixture.target}/extra`].filter(existsSync)).toEqual([]);
      fixture.expectTree(TREE);
    },
  );

  it.each(['placeFiles', 'readFiles'])(
    'ends with an error of ours when %s is refused at the directory itself',
    async (name) => {
      // Something is right already, and something is to be placed.
      await recover(fixture.store, fixture.target);
      rmSync(`${fixture.target}/d/file`);
      await fixture.reopen(changed(engine, { [name]: () => Promise.reject(refused()) }));
      const asked = recover(fixture.store, fixture.target);
      await expect(asked).rejects.toMatchObject({ code: 'DK_IO', facts: { path: fixture.target } });
      await fixture.reopen(engine);
      expect(await recover(fixture.store, fixture.target)).toMatchObject({ damaged: [], rootVerified: true });
    },
  );

  it('ends with an error of ours when the directory cannot be listed at all', async () => {
    const createStatIndex = () => changed(engine.createStatIndex(), { scan: () => Promise.reject(refused()) });
    await fixture.reopen(changed(engine, { createStatIndex }));
    await expect(recover(fixture.store, fixture.target)).rejects.toMatchObject({ code: 'DK_IO' });
    const stateDir = fixture.target;
    await expect(planRecover(fixture.store, { stateDir })).rejects.toMatchObject({ code: 'DK_IO' });
  });
});
