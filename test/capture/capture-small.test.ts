import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { capture, openCaptureSession } from '../../src/capture/capture.js';
import { isDiffKeeperError } from '../../src/core/core.js';
import { engines, keepings, letTheClockTick, noise, SCHEMAS, StateFixture } from './state-fixture.js';

const ENGINE = engines()[0]?.[1] as never;
let fixture: StateFixture;
afterEach(async () => {
  await fixture?.close();
});

describe.each(keepings())('capture of small entries (%s)', (_name, { engine, schema }) => {
  it('takes a first tree of every kind and then nothing', async () => {
    fixture = await StateFixture.create(engine, { schema });
    fixture.write('a.txt', 'hello');
    fixture.write('empty', '');
    fixture.write('deep/er/file', noise(100_000, 1));
    mkdirSync(fixture.path('hollow'));
    symlinkSync('../nowhere', fixture.path('link'));
    const first = await fixture.capture();
    expect(first).toMatchObject(fixture.counts({ added: 7, changed: 0, removed: 0 }, { added: 3 }));
    expect(first.skipped).toEqual([]);
    expect(first.checkpoint?.sequence).toBe(1);
    await fixture.expectKept();
    const second = await fixture.capture();
    expect(second).toMatchObject({ checkpoint: null, added: 0, changed: 0, removed: 0 });
    await letTheClockTick();
    await fixture.capture();
    // By now everything is trusted: stat is enough.
    expect((await fixture.capture()).readBytes).toBe(0);
    expect(fixture.store.newest?.sequence).toBe(1);
  });

  it('replaces a directory by a file and back', async () => {
    fixture = await StateFixture.create(engine, { schema });
    fixture.write('x/y/z', 'below');
    await fixture.capture();
    rmSync(fixture.path('x'), { recursive: true });
    fixture.write('x', 'a file now');
    await fixture.capture();
    await fixture.expectKept();
    rmSync(fixture.path('x'));
    fixture.write('x/y/z', 'below again');
    fixture.write('x/other', 'o');
    await fixture.capture();
    await fixture.expectKept();
    const root = fixture.store.newest?.root;
    await fixture.reopen();
    await fixture.expectKept();
    expect(fixture.store.newest?.root).toEqual(root);
  });

  it('keeps names that are not UTF-8', async () => {
    fixture = await StateFixture.create(engine, { schema });
    const name = Buffer.concat([Buffer.from(`${fixture.state}/`), Buffer.from([0x66, 0xff, 0xfe])]);
    mkdirSync(name);
    writeFileSync(Buffer.concat([name, Buffer.from([0x2f, 0x80])]), 'odd');
    await fixture.capture();
    await fixture.expectKept();
    expect(await fixture.store.heads(['f\xff\xfe/\x80'])).toMatchObject([{ size: 3 }]);
  });

  it('ignores patterns, and forgets what becomes ignored where removals are kept', async () => {
    fixture = await StateFixture.create(engine, { schema, ignore: ['*.log', 'cache/', '!keep.log'] });
    fixture.write('a', '1');
    fixture.write('b.log', '2');
    fixture.write('sub/keep.log', '3');
    fixture.write('sub/cache/deep/x', '4');
    await fixture.capture();
    await fixture.expectKept(['b.log', 'sub/cache']);
    fixture.write('sub/cache/more', '5');
    fixture.write('sub/new/n', '6');
    await fixture.capture();
    await fixture.expectKept(['b.log', 'sub/cache']);
    const other = await capture(fixture.store, fixture.state, { ignore: ['sub/'] });
    expect(other).toMatchObject(fixture.counts({ added: 1, removed: 4 }, { added: 1 }));
    if (schema === 2) await fixture.expectKept(['sub']);
    else await fixture.expectKept(['sub/cache']);
  });

  it('never takes the store itself', async () => {
    fixture = await StateFixture.create(engine, { schema, inside: 'keep/.store' });
    fixture.write('keep/data', 'd');
    await fixture.capture();
    await fixture.capture();
    await fixture.expectKept(['keep/.store']);
  });

  it('marks find new trees, changes and removals, and nothing else', async () => {
    fixture = await StateFixture.create(engine, { schema });
    fixture.write('a/one', '1');
    fixture.write('a/two', '2');
    await fixture.capture();
    fixture.write('a/one', '11');
    fixture.write('n/e/w', 'tree');
    fixture.write('unmarked', 'x');
    rmSync(fixture.path('a/two'));
    const report = await fixture.capture({ marks: ['a/one', 'a/two', 'n/e/w', 'not/there'] });
    expect(report).toMatchObject(fixture.counts({ added: 3, changed: 2, removed: 1 }, { added: 1, changed: 1 }));
    expect(await fixture.head('unmarked')).toBeUndefined();
    await fixture.capture();
    await fixture.expectKept();
  });
});

describe.each(engines())('capture of small entries in schema 2 (%s)', (_name, engine) => {
  it('takes each kind of change and nothing else', async () => {
    fixture = await StateFixture.create(engine);
    for (const name of ['same', 'bytes', 'mode', 'touched', 'gone', 'd/inner'])
      fixture.write(name, `content of ${name}`);
    symlinkSync('one', fixture.path('link'));
    await fixture.capture();
    fixture.write('bytes', 'other content');
    chmodSync(fixture.path('mode'), 0o640);
    utimesSync(fixture.path('touched'), 1000, 1000.5);
    rmSync(fixture.path('gone'));
    rmSync(fixture.path('d'), { recursive: true });
    rmSync(fixture.path('link'));
    symlinkSync('two', fixture.path('link'));
    const report = await fixture.capture();
    expect(report).toMatchObject({ added: 0, changed: 4, removed: 3 });
    // With the state directory itself, in which names went.
    expect(report.checkpoint?.changed).toBe(5);
    await fixture.expectKept();
  });

  it('keeps one blob for a renamed or copied file', async () => {
    fixture = await StateFixture.create(engine);
    fixture.write('one', noise(200_000, 7));
    await fixture.capture();
    renameSync(fixture.path('one'), fixture.path('two'));
    fixture.write('three', noise(200_000, 7));
    const report = await fixture.capture();
    expect(report).toMatchObject({ added: 2, removed: 1 });
    expect(report.storedBytes).toBeLessThan(5000);
    await fixture.expectKept();
  });

  it('codes a small change against the older bytes', async () => {
    fixture = await StateFixture.create(engine);
    const bytes = noise(200_000, 3);
    fixture.write('state', bytes);
    await fixture.capture();
    fixture.write('state', Buffer.concat([bytes.subarray(0, 500), Buffer.from('inserted'), bytes.subarray(500)]));
    const report = await fixture.capture();
    expect(report.storedBytes).toBeLessThan(3000);
    await fixture.expectKept();
  });

  it('gives hard links one group', async () => {
    fixture = await StateFixture.create(engine);
    fixture.write('a', 'shared');
    fixture.write('alone', 'x');
    await fixture.capture();
    linkSync(fixture.path('a'), fixture.path('b'));
    // Only the new name is marked: the other one must be looked at nevertheless.
    await fixture.capture({ marks: ['b'] });
    const [a, b, alone] = [await fixture.head('a'), await fixture.head('b'), await fixture.head('alone')];
    expect(a?.linkId).not.toBe(0n);
    expect(a?.linkId).toBe(b?.linkId);
    expect(alone?.linkId).toBe(0n);
    await fixture.expectKept();
  });
});

describe.each(SCHEMAS)('capture in schema %s', (schema) => {
  it('is right after the stat index was lost, damaged or belongs to another moment', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    for (let i = 0; i < 50; i += 1) fixture.write(`d${i % 5}/f${i}`, `content ${i}`);
    await letTheClockTick();
    await fixture.capture();
    await fixture.reopen();
    expect(existsSync(join(fixture.store.cachePath, 'stat.idx'))).toBe(true);
    expect(await fixture.capture()).toMatchObject({ checkpoint: null, readBytes: 0 });
    rmSync(fixture.path('d1/f1'));
    fixture.write('d2/f2', 'new');
    await fixture.reopen('stat.idx');
    expect(await fixture.capture()).toMatchObject(fixture.counts({ added: 0, changed: 2, removed: 1 }, { changed: 1 }));
    await fixture.expectKept();
    await fixture.reopen();
    writeFileSync(join(fixture.store.cachePath, 'stat.idx'), noise(5000, 1));
    expect(await fixture.capture()).toMatchObject({ checkpoint: null });
  });

  it('sees a write that left the same stamps, because the entry was not trusted yet', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('racy', 'aaaa');
    await fixture.capture();
    fixture.write('racy', 'bbbb');
    expect((await fixture.capture()).changed).toBe(1);
    await fixture.expectKept();
  });

  it('tells of special files each time, with a reason, and forgets what they replaced', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('was', 'a file');
    await fixture.capture();
    rmSync(fixture.path('was'));
    spawnSync('mkfifo', [fixture.path('was')]);
    const told = [{ path: 'was', kind: 'special', reason: 'it is a socket, FIFO or device' }];
    expect((await fixture.capture()).skipped).toEqual(told);
    expect(await fixture.isRemoved('was')).toBe(true);
    expect(await fixture.capture()).toMatchObject({ checkpoint: null, skipped: told });
    await fixture.reopen();
    expect(await fixture.capture()).toMatchObject({ checkpoint: null, skipped: told });
    expect(fixture.session.leftOut).toEqual({ special: 1, 'too-long': 0, unreadable: 0, unsettled: 0 });
  });

  it('refuses a missing directory, one inside the store, and wrong options', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    const code = async (promise: Promise<unknown>): Promise<boolean> =>
      promise.then(
        () => false,
        (error: unknown) => isDiffKeeperError(error, 'DK_STATE_DIR'),
      );
    expect(await code(capture(fixture.store, fixture.path('missing')))).toBe(true);
    expect(await code(capture(fixture.store, fixture.store.path))).toBe(true);
    expect(await code(capture(fixture.store, fixture.store.cachePath))).toBe(true);
    await expect(openCaptureSession(fixture.store, fixture.state, { chunkBytes: 5 })).rejects.toThrow(RangeError);
    await fixture.capture();
    rmSync(fixture.state, { recursive: true });
    expect(await code(fixture.capture())).toBe(true);
  });

  it('leaves the store as it was when it is aborted, and goes on afterwards', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('a', '1');
    await expect(fixture.capture({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'DK_ABORTED' });
    expect(fixture.store.newest).toBeNull();
    expect((await fixture.capture()).added).toBe(1);
  });

  it('makes a checkpoint on request even when nothing changed', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('a', '1');
    await fixture.capture();
    expect((await fixture.capture({ tag: 'release' })).checkpoint).toMatchObject({ sequence: 2, tag: 'release' });
    expect((await fixture.capture({ force: true })).checkpoint?.sequence).toBe(3);
  });

  it('thaws exactly once, before the commit, and also when taking fails', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('a', '1');
    const calls: string[] = [];
    const freeze = async () => {
      calls.push('freeze');
      return {
        rescan: ['a'],
        thaw: async () => {
          calls.push(`thaw at ${fixture.store.newest?.sequence ?? 0}`);
          return 12;
        },
      };
    };
    const report = await fixture.capture({ freeze });
    expect(report.checkpoint).toMatchObject({ frozen: true, pauseMs: 12 });
    fixture.write('a', '2');
    await expect(fixture.capture({ freeze, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'DK_ABORTED',
    });
    expect(calls).toEqual(['freeze', 'thaw at 0', 'freeze', 'thaw at 1']);
  });
});
