/** Records of versions that are damaged, or a pack that is missing: what other records say still comes back. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { RECORD } from '../../src/format/format.js';
import { planRecover, readFileAt, recover } from '../../src/recover/recover.js';
import type { UnreadableVersion } from '../../src/store/store.js';
import { flipRecord } from '../store/flip-record.js';
import { engines, Fixture, listTree, noise, packFile } from './tree-fixture.js';

const { packBytes } = LIMITS;

describe.each(engines())('damaged records of versions with the %s engine', (_name, engine) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine);
  });
  afterEach(async () => {
    (LIMITS as { packBytes: number }).packBytes = packBytes;
    await fixture.remove();
  });

  /** Four checkpoints; of the second the record of versions is damaged. */
  async function damageSecond(): Promise<void> {
    await fixture.commit({
      a: { content: 'a1' },
      b: { content: 'b1' },
      d: { type: 'directory' },
      'd/x': { content: 'x1' },
    });
    await fixture.commit({ b: { content: 'b2' }, c: { content: 'c2' }, d: null, 'd/x': null, e: { content: 'e2' } });
    await fixture.commit({ b: { content: 'b3' }, c: { content: 'c3' } });
    await fixture.commit({ a: { content: 'a4' } });
    await fixture.store.close();
    await flipRecord(packFile(fixture.store, 1), RECORD.versions, 2);
    await fixture.reopen(engine);
  }

  async function contentAt(path: string, at: number): Promise<string> {
    return (await buffer(readFileAt(fixture.store, path, { at }))).toString();
  }

  test('a recover of that checkpoint brings back all else, and touches nothing that it does not know', async () => {
    await damageSecond();
    const { store } = fixture;
    const plan = await planRecover(store, { at: 2 });
    expect(plan.damaged.map(({ path }) => path)).toEqual(['b', 'c', 'd', 'd/x']);
    mkdirSync(fixture.at('d'), { recursive: true });
    for (const name of ['c', 'd/x', 'extra']) writeFileSync(fixture.at(name), 'what was there');
    const report = await recover(store, fixture.target, { at: 2 });
    expect(report.damaged.map(({ kind, path, code }) => `${kind} ${path} ${code}`)).toEqual([
      'entry b DK_CORRUPT_RECORD',
      'entry c DK_CORRUPT_RECORD',
      'entry d DK_CORRUPT_RECORD',
      'entry d/x DK_CORRUPT_RECORD',
      'root  DK_DIGEST_MISMATCH',
    ]);
    // `e` is the newest of its path: the metadata has a copy of the version.
    expect(report).toMatchObject({ entries: 2, written: 2, removed: 0, rootVerified: false });
    expect(listTree(fixture.target)).toEqual(['a', 'c', 'd', 'd/x', 'e', 'extra']);
    for (const [name, content] of [['a', 'a1'] as const, ['e', 'e2'] as const, ['c', 'what was there'] as const])
      expect(readFileSync(fixture.at(name), 'utf8')).toBe(content);
  });

  test('selected paths: what is damaged is no reason to say that it is not there, or to remove it', async () => {
    await damageSecond();
    const one = await recover(fixture.store, fixture.target, { at: 2, paths: ['c'] });
    expect(one).toMatchObject({ entries: 0, damaged: [{ path: 'c', code: 'DK_CORRUPT_RECORD' }] });
    mkdirSync(fixture.at('d'), { recursive: true });
    writeFileSync(fixture.at('d/x'), 'what was there');
    const options = { at: 2, paths: ['d', 'a'], removeExtra: true };
    const report = await recover(fixture.store, fixture.target, options);
    expect(report).toMatchObject({ entries: 1, removed: 0 });
    expect(report.damaged.map(({ path }) => path)).toEqual(['d', 'd/x']);
    expect(listTree(fixture.target)).toEqual(['a', 'd', 'd/x']);
  });

  test('the checkpoints around it come back whole, and the metadata stays what it is', async () => {
    await damageSecond();
    for (const at of [1, 4]) {
      expect(await recover(fixture.store, fixture.target, { at })).toMatchObject({ damaged: [], rootVerified: true });
    }
    await recover(fixture.store, fixture.target, { at: 2 });
    const unreadable: UnreadableVersion[] = [];
    for await (const _batch of fixture.store.entries({ at: 2, onUnreadable: (one) => unreadable.push(one) }));
    expect(unreadable.map(({ path, sequence }) => `${path} ${sequence}`)).toEqual(['b 2', 'c 2', 'd 2', 'd/x 2']);
  });

  test('older and newer versions of a path are read; the damaged one is told', async () => {
    await damageSecond();
    const { store } = fixture;
    expect([await contentAt('b', 1), await contentAt('b', 3), await contentAt('a', 2)]).toEqual(['b1', 'b3', 'a1']);
    await expect(contentAt('b', 2)).rejects.toMatchObject({ code: 'DK_CORRUPT_RECORD' });
    const found: string[] = [];
    const onUnreadable = ({ sequence, error }: UnreadableVersion) => found.push(`${sequence} ${error.code}`);
    for await (const { sequence } of store.versions('b', { onUnreadable })) found.push(`${sequence}`);
    expect(found).toEqual(['3', '2 DK_CORRUPT_RECORD', '1']);
    await expect(async () => {
      for await (const _one of store.versions('b'));
    }).rejects.toMatchObject({ code: 'DK_CORRUPT_RECORD' });
    await expect(async () => {
      for await (const _batch of store.entries({ at: 2 }));
    }).rejects.toMatchObject({ code: 'DK_CORRUPT_RECORD' });
  });

  test('of a missing pack all that stands elsewhere comes back', async () => {
    (LIMITS as { packBytes: number }).packBytes = 50_000;
    await fixture.commit({ a: { content: 'a1' }, b: { content: 'b1' } });
    await fixture.commit({ bulk: { content: noise(60_000, 'one') } });
    await fixture.commit({ b: { content: 'b3' } });
    await fixture.commit({ bulk: { content: noise(60_000, 'two') } });
    await fixture.commit({ b: { content: 'b5' } });
    await fixture.store.close();
    rmSync(packFile(fixture.store, 2));
    await fixture.reopen(engine);
    const report = await recover(fixture.store, fixture.target, { at: 3 });
    expect(report.damaged.map(({ path, code }) => `${path} ${code}`)).toEqual([
      'b DK_CORRUPT_PACK',
      'bulk DK_CORRUPT_PACK',
      ' DK_DIGEST_MISMATCH',
    ]);
    expect(readFileSync(fixture.at('a'), 'utf8')).toBe('a1');
    expect([await contentAt('b', 1), await contentAt('b', 5)]).toEqual(['b1', 'b5']);
    await expect(contentAt('b', 3)).rejects.toMatchObject({ code: 'DK_CORRUPT_PACK' });
  });
});
