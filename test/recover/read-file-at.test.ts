import { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readFileAt } from '../../src/recover/recover.js';
import { engines, Fixture, keepings, noise, PIECE } from './tree-fixture.js';

describe.each(keepings())('readFileAt (%s)', (_name, { engine, schema }) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine, schema);
  });
  afterEach(() => fixture.remove());

  test('directories are refused', async () => {
    await fixture.commit({ d: { type: 'directory' }, 'd/a': {} });
    await expect(buffer(readFileAt(fixture.store, 'd'))).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
  });

  test('a slow reader holds the source back', async () => {
    const content = noise(36 * PIECE);
    await fixture.commit({ big: { content } });
    let asked = 0;
    const { store } = fixture;
    const counting = new Proxy(store, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (name === 'reader') {
          return (...args: Parameters<typeof store.reader>) => {
            const reader = target.reader(...args);
            const read = (offset: number, length: number) => {
              asked += length;
              return reader.read(offset, length);
            };
            return { read };
          };
        }
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    let taken = 0;
    let ahead = 0;
    const slow = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, done) {
        ahead = Math.max(ahead, asked - taken);
        taken += chunk.length;
        setTimeout(done, 1);
      },
    });
    await pipeline(readFileAt(counting, 'big'), slow);
    expect(taken).toBe(content.length);
    expect(ahead).toBeLessThanOrEqual(20 * PIECE);
  });
});

describe.each(engines())('readFileAt of schema 2 with the %s engine', (_name, engine) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine);
  });
  afterEach(() => fixture.remove());

  test('contents of all kinds, newest and past', async () => {
    const big = noise(3 * PIECE + 5);
    const first = await fixture.commit({
      a: { content: 'one' },
      big: { content: big },
      none: {},
      l: { type: 'symlink', content: 'a' },
    });
    await fixture.commit({ a: { content: 'two' }, big: null });
    expect((await buffer(readFileAt(fixture.store, './a'))).toString()).toBe('two');
    expect((await buffer(readFileAt(fixture.store, 'a', { at: first.sequence }))).toString()).toBe('one');
    expect((await buffer(readFileAt(fixture.store, 'big', { at: 1 }))).equals(big)).toBe(true);
    expect((await buffer(readFileAt(fixture.store, 'none'))).length).toBe(0);
    expect((await buffer(readFileAt(fixture.store, 'l'))).toString()).toBe('a');
    await expect(buffer(readFileAt(fixture.store, 'big'))).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
    await expect(buffer(readFileAt(fixture.store, 'a', { at: 77 }))).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
    expect(() => readFileAt(fixture.store, '../a')).toThrow(TypeError);
  });

  test('other bytes than those captured end in an error', async () => {
    await fixture.commit({ a: { content: noise(2 * PIECE, 'x') } });
    const [donor] = await fixture.store.heads(['a']);
    await fixture.commit({
      b: { content: noise(2 * PIECE, 'y'), forge: { recipe: donor?.recipe ?? { kind: 'empty' } } },
    });
    await expect(buffer(readFileAt(fixture.store, 'b'))).rejects.toMatchObject({ code: 'DK_DIGEST_MISMATCH' });
  });
});
