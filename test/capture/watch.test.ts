import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { watch } from '../../src/capture/capture.js';
import type { CaptureReport, StateWatcher, WatchOptions } from '../../src/capture/types.js';
import { engines, MIB, noise, SCHEMAS, StateFixture } from './state-fixture.js';

const ENGINE = engines()[0]?.[1] as never;
let fixture: StateFixture;
let watcher: StateWatcher | undefined;
let states: string[] = [];
let reports: CaptureReport[] = [];

afterEach(async () => {
  await watcher?.close();
  watcher = undefined;
  states = [];
  reports = [];
  await fixture?.close();
});

/** Full scans are far off: what is found was found by events. */
async function startWatch(options: WatchOptions = {}): Promise<void> {
  watcher = await watch(fixture.store, fixture.state, { rescanMs: 600_000, settleMs: 20, ...options });
  watcher.on('state', (state, reason) => states.push(reason === '' ? state : `${state}: ${reason}`));
  watcher.on('checkpoint', (report) => reports.push(report));
  await until(() => watcher?.state === 'watching');
}

async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 8000): Promise<number> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > timeoutMs) throw new Error(`waited ${timeoutMs} ms in vain; states: ${states}`);
    await sleep(5);
  }
  return performance.now() - start;
}

async function kept(name: string, content: string): Promise<boolean> {
  const head = await fixture.head(name);
  if (!head || head.size !== Buffer.byteLength(content)) return false;
  return (await fixture.store.reader(head).read(0, head.size)).toString() === content;
}

describe.each(SCHEMAS)('watch, schema %s', (schema) => {
  it('waits as long as it is told to between captures, but for those that are asked for', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('a', 'first');
    await startWatch({ spacing: () => 600_000 });
    expect(await kept('a', 'first')).toBe(true);
    fixture.write('a', 'second');
    await sleep(400);
    expect(await kept('a', 'first')).toBe(true);
    await watcher?.flush();
    expect(await kept('a', 'second')).toBe(true);
    fixture.write('a', 'last');
    await watcher?.close();
    expect(await kept('a', 'last')).toBe(true);
  });

  it('captures what is there, then each change, and the last one at close', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('a', 'first');
    await startWatch();
    expect(states).toEqual(['watching']);
    expect(await kept('a', 'first')).toBe(true);
    fixture.write('a', 'second');
    expect(await until(() => kept('a', 'second'))).toBeLessThan(1000);
    fixture.write('b', 'new');
    await until(() => kept('b', 'new'));
    rmSync(fixture.path('a'));
    await until(() => fixture.isRemoved('a'));
    fixture.write('last', 'words');
    await watcher?.close();
    expect(await kept('last', 'words')).toBe(true);
    expect(watcher?.state).toBe('closed');
    expect(watcher?.missedChanges).toBe(0);
    await fixture.expectKept();
  });

  it('takes a burst of 2,000 files', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    mkdirSync(fixture.path('d'));
    await startWatch();
    for (let i = 0; i < 2000; i += 1) writeFileSync(fixture.path(`d/f${i}`), `content ${i}`);
    await until(() => kept('d/f1999', 'content 1999'));
    // 2,000 files, their directory, and in schema 2 the state directory itself.
    await until(async () => fixture.store.newest?.entries === (schema === 2 ? 2002 : 2001));
    await fixture.expectKept();
  });

  it('enters a deep tree made at once, and sees later changes in it', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    await startWatch();
    for (let i = 0; i < 30; i += 1) fixture.write(`t/${i}/x/y/z/file`, `${i}`);
    await until(() => kept('t/29/x/y/z/file', '29'));
    fixture.write('t/7/x/y/z/file', 'changed');
    await until(() => kept('t/7/x/y/z/file', 'changed'));
    fixture.write('t/8/x/y/other', 'more');
    await until(() => kept('t/8/x/y/other', 'more'));
    await fixture.expectKept();
  });

  it('sees files replaced by renaming, and trees moved away and back', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('config', 'old');
    fixture.write('dir/sub/inner', '1');
    await startWatch();
    for (let i = 0; i < 20; i += 1) {
      fixture.write('config.tmp', `new ${i}`);
      renameSync(fixture.path('config.tmp'), fixture.path('config'));
    }
    await until(() => kept('config', 'new 19'));
    renameSync(fixture.path('dir'), fixture.path('moved'));
    await until(() => kept('moved/sub/inner', '1'));
    expect(await fixture.isRemoved('dir/sub/inner')).toBe(true);
    fixture.write('moved/sub/inner', '2');
    await until(() => kept('moved/sub/inner', '2'));
    fixture.write('dir/sub/inner', '3');
    await until(() => kept('dir/sub/inner', '3'));
    rmSync(fixture.path('moved'), { recursive: true });
    await until(() => fixture.isRemoved('moved'));
    await fixture.expectKept();
  });

  it('captures a file that never holds still within the lag', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('log', 'x');
    fixture.write('large', noise(2 * MIB, 1));
    await startWatch({ maxLagMs: 400 });
    const started = reports.length;
    const writer = setInterval(() => {
      writeFileSync(fixture.path('log'), 'x', { flag: 'a' });
      const fd = openSync(fixture.path('large'), 'r+');
      writeSync(fd, noise(64, Date.now()), 0, 64, MIB);
      closeSync(fd);
    }, 3);
    try {
      await until(() => reports.length >= started + 3, 3000);
    } finally {
      clearInterval(writer);
    }
    expect((await fixture.head('log'))?.size).toBeGreaterThan(1);
    expect((await fixture.head('large'))?.sequence).toBeGreaterThan(1);
    await watcher?.flush();
    await fixture.expectKept();
  });

  it('gives each of many requests at once the tag that it asked for', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    await startWatch();
    const asked = [undefined, 'A', undefined, 'B', undefined, 'C'];
    const flushed = await Promise.all(
      asked.map((tag) => watcher?.flush({ force: true, ...(tag !== undefined && { tag }) })),
    );
    // Those without a tag share a checkpoint with one that has.
    const tags = flushed.map((report) => report?.checkpoint?.tag);
    expect(tags).toEqual(['A', 'A', 'A', 'B', 'B', 'C']);
  });

  it('flushes on demand with a tag, and ignores what is ignored', async () => {
    fixture = await StateFixture.create(ENGINE, { schema, inside: '.keep' });
    await startWatch({ ignore: ['*.tmp'] });
    fixture.write('x.tmp', 'no');
    fixture.write('x', 'yes');
    const report = await watcher?.flush({ tag: 'now' });
    expect(report?.checkpoint?.tag).toBe('now');
    const sequence = fixture.store.newest?.sequence;
    fixture.write('x.tmp', 'still no');
    await sleep(150);
    expect(fixture.store.newest?.sequence).toBe(sequence);
    await fixture.expectKept(['x.tmp', '.keep']);
  });

  it('keeps names that are not UTF-8', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    await startWatch({ maxLagMs: 200 });
    const odd = Buffer.concat([Buffer.from(`${fixture.state}/`), Buffer.from([0xff, 0xfe])]);
    mkdirSync(odd);
    if (schema === 2) await until(async () => (await fixture.store.heads(['\xff\xfe']))[0] !== undefined);
    else await sleep(300);
    writeFileSync(Buffer.concat([odd, Buffer.from('/f')]), 'odd');
    await until(async () => (await fixture.store.heads(['\xff\xfe/f']))[0]?.size === 3);
    await fixture.expectKept();
  });

  it('counts what no event announced', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('a', '1');
    await startWatch({ rescanMs: 100 });
    await sleep(1500);
    fixture.write('a', '2');
    await until(() => kept('a', '2'));
    await sleep(1200);
    expect(watcher?.missedChanges).toBe(0);
  });

  it('says degraded when the state directory goes away, and comes back with it', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('sub/a', '1');
    await startWatch();
    const errors: Error[] = [];
    watcher?.on('error', (error) => errors.push(error));
    renameSync(fixture.state, `${fixture.state}.away`);
    await expect(watcher?.flush()).rejects.toMatchObject({ code: 'DK_STATE_DIR' });
    expect(watcher?.state).toBe('degraded');
    expect(states.at(-1)).toContain('degraded: capture failed');
    fixture.write('sub/b', '2');
    await until(() => watcher?.state === 'watching');
    await until(() => kept('sub/b', '2'));
    fixture.write('sub/b', '3');
    await until(() => kept('sub/b', '3'));
    expect(errors.length).toBeGreaterThan(0);
    await fixture.expectKept();
    rmSync(`${fixture.state}.away`, { recursive: true });
  });

  it('wraps captures in freeze points and goes on after a failed one', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    const calls: string[] = [];
    let fail = false;
    await startWatch({
      freeze: async () => {
        if (fail) throw new Error('did not stop');
        calls.push('freeze');
        return { rescan: [], thaw: async () => calls.push('thaw') };
      },
    });
    fail = true;
    fixture.write('a', '1');
    await until(() => watcher?.state === 'degraded');
    fail = false;
    await until(() => kept('a', '1'));
    expect(calls.length % 2).toBe(0);
    expect(calls.every((call, i) => call === (i % 2 === 0 ? 'freeze' : 'thaw'))).toBe(true);
    expect(fixture.store.newest?.frozen).toBe(true);
  });

  it('refuses wrong times', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    await expect(watch(fixture.store, fixture.state, { maxLagMs: 0 })).rejects.toThrow(RangeError);
    await expect(watch(fixture.store, fixture.state, { settleMs: Number.NaN })).rejects.toThrow(RangeError);
  });
});
