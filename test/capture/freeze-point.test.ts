/** What happens while the application stands still: everything up to that moment is taken, and nothing slow is done. */
import { linkSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { openCaptureSession, watch } from '../../src/capture/capture.js';
import type { CaptureReport, CaptureRun, StateWatcher, WatchOptions } from '../../src/capture/types.js';
import type { Engine, StatIndex } from '../../src/engine/engine.js';
import { files } from '../native/tree-door.js';
import { engines, letTheClockTick, MIB, noise, SCHEMAS, StateFixture } from './state-fixture.js';

const REAL = engines()[0]?.[1] as Engine;
let fixture: StateFixture;
let watcher: StateWatcher | undefined;
let reports: CaptureReport[] = [];
/** Names of what was asked of the engine while the application stood still. */
let frozenCalls: string[] = [];
let isFrozen = false;

afterEach(async () => {
  files.mapAnywhere(false);
  await watcher?.close();
  watcher = undefined;
  await fixture?.close();
  reports = [];
  frozenCalls = [];
  isFrozen = false;
});

function watched<T extends object>(target: T, rename: (name: string, args: readonly unknown[]) => string): T {
  return new Proxy(target, {
    get(object, name, receiver) {
      const value: unknown = Reflect.get(object, name, receiver === undefined ? receiver : object);
      if (typeof value !== 'function' || typeof name !== 'string') return value;
      return (...args: unknown[]) => {
        if (isFrozen) frozenCalls.push(rename(name, args));
        const result: unknown = value.apply(object, args);
        return name === 'createStatIndex' ? watched(result as StatIndex, scanName) : result;
      };
    },
  });
}

/** Tells a scan of the whole tree from one of some directories. */
function scanName(name: string, args: readonly unknown[]): string {
  const { directories, recursive } = (args[0] ?? {}) as { directories?: string[]; recursive?: boolean };
  return name === 'scan' && recursive && directories?.[0] === '' ? 'scan everything' : name;
}

const ENGINE = watched(REAL, (name, args) =>
  name === 'readFiles' ? `readFiles ${(args[0] as { paths: string[] }).paths.length}` : name,
);

/** A freeze point; `before` is what the application still does until it stands. */
function freezing(before: () => void = () => {}): NonNullable<CaptureRun['freeze']> {
  return async () => {
    before();
    isFrozen = true;
    return {
      rescan: [],
      thaw: async () => {
        isFrozen = false;
        return 1;
      },
    };
  };
}

async function startWatch(options: WatchOptions): Promise<void> {
  watcher = await watch(fixture.store, fixture.state, { rescanMs: 600_000, settleMs: 20, ...options });
  watcher.on('checkpoint', (report) => reports.push(report));
  watcher.on('error', (error) => {
    throw error;
  });
  while (watcher.state !== 'watching') await sleep(5);
}

async function nextReport(): Promise<CaptureReport> {
  const { length } = reports;
  const end = performance.now() + 8000;
  while (reports.length === length) {
    if (performance.now() > end) throw new Error('no checkpoint came');
    await sleep(5);
  }
  return reports.at(-1) as CaptureReport;
}

async function contentAt(name: string): Promise<string> {
  const head = await fixture.head(name);
  return head === undefined ? '' : (await fixture.store.reader(head).read(0, head.size)).toString();
}

describe.each(SCHEMAS)('a freeze point of the watcher, schema %s', (schema) => {
  it('takes what was written up to the moment of standing still, announced before or not', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('a', '0');
    fixture.write('deep/er/b', '0');
    let step = 0;
    let running = false;
    const freeze = freezing(() => {
      if (!running) return;
      running = false;
      step += 1;
      fixture.write('deep/er/b', `${step}`);
      fixture.write(`fresh/${step}/c`, `${step}`);
    });
    await startWatch({ freeze });
    for (let i = 0; i < 5; i += 1) {
      await letTheClockTick();
      running = true;
      fixture.write('a', `write ${i}`);
      while ((await contentAt('a')) !== `write ${i}`) await nextReport();
      expect(await contentAt('deep/er/b')).toBe(`${step}`);
      expect(await contentAt(`fresh/${step}/c`)).toBe(`${step}`);
    }
  });

  it('sees into a tree that took the place of another', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('live/sub/file', 'old');
    fixture.write('next/sub/file', 'new');
    await letTheClockTick();
    await startWatch({
      freeze: freezing(() => {
        rmSync(fixture.path('live'), { recursive: true, force: true });
        renameSync(fixture.path('next'), fixture.path('live'));
        mkdirSync(fixture.path('next/sub'), { recursive: true });
        writeFileSync(fixture.path('next/sub/file'), 'again');
      }),
    });
    await letTheClockTick();
    const coming = nextReport();
    fixture.write('trigger', 'x');
    await coming;
    expect(await contentAt('live/sub/file')).toBe('again');
    await fixture.expectKept();
  });

  it('looks at everything before it, not during it', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    for (let i = 0; i < 50; i += 1) fixture.write(`d${i}/f`, `${i}`);
    await startWatch({ freeze: freezing(), rescanMs: 50 });
    frozenCalls = [];
    for (let i = 0; i < 3; i += 1) {
      const coming = nextReport();
      fixture.write('d7/f', `new ${i}`);
      await coming;
      await sleep(100);
    }
    expect(frozenCalls.length).toBeGreaterThan(0);
    expect(frozenCalls).not.toContain('scan everything');
    await fixture.expectKept();
  });
});

describe.each(SCHEMAS)('a freeze point of a session, schema %s', (schema) => {
  it('codes nothing while the application stands still', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    const bytes = noise(3 * MIB, 1);
    fixture.write('large', bytes);
    fixture.write('small', 'first');
    await fixture.capture();
    for (const at of [0, 500_000, 2_000_000]) bytes.fill(at % 251, at, at + 9000);
    fixture.write('large', bytes);
    fixture.write('small', 'second');
    fixture.write('new', noise(100_000, 2));
    frozenCalls = [];
    const report = await fixture.capture({ freeze: freezing() });
    expect(report.checkpoint).toMatchObject({ frozen: true, pauseMs: 1 });
    expect(frozenCalls).toContain('openFileScan');
    for (const slow of ['encodeBlobs', 'compress', 'decodeBlobs', 'cut', 'digestMany']) {
      expect(frozenCalls).not.toContain(slow);
    }
    await fixture.expectKept();
  });

  it('looks at the other names of a file that has several, not at everything', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    for (let i = 0; i < 20; i += 1) fixture.write(`d${i}/f`, `${i}`);
    for (const name of ['d3/second', 'd4/third']) linkSync(fixture.path('d2/f'), fixture.path(name));
    await fixture.capture();
    const captured = async (...marks: string[]): Promise<boolean> => {
      frozenCalls = [];
      await letTheClockTick();
      await fixture.capture({ marks, freeze: freezing() });
      await fixture.expectKept();
      return frozenCalls.includes('scan everything');
    };
    for (const [round, name] of ['d2/f', 'd3/second', 'd4/third', 'd2/f'].entries()) {
      await letTheClockTick();
      fixture.write(name, `round ${round}`);
      expect([name, await captured(name)]).toEqual([name, false]);
    }
    // A fourth name, which the others do not tell of: once.
    linkSync(fixture.path('d2/f'), fixture.path('d5/fourth'));
    await captured('d5/fourth');
    fixture.write('d5/fourth', 'by the fourth name');
    expect(await captured('d5/fourth')).toBe(false);
    // Another file takes one of its names, and is then found under it as well.
    rmSync(fixture.path('d4/third'));
    linkSync(fixture.path('d6/f'), fixture.path('d4/third'));
    await captured('d4/third');
    fixture.write('d4/third', 'another file');
    expect(await captured('d4/third')).toBe(false);
    fixture.write('d2/f', 'without the third name');
    expect(await captured('d2/f')).toBe(false);
    await fixture.session.close();
  });

  it('has read a heap of new files before it, and only looks whether they moved since', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    await fixture.capture();
    for (let i = 0; i < 600; i += 1) fixture.write(`d${i % 7}/f${i}`, `content ${i}`);
    fixture.write('large', noise(8 * MIB, 3));
    await sleep(1300);
    const report = await fixture.capture({ freeze: freezing(() => fixture.write('d3/f10', 'moved since')) });
    expect(report).toMatchObject({ added: schema === 2 ? 608 : 601, unsettled: [], skipped: [] });
    expect(frozenCalls).not.toContain('openFileScan');
    // The one that moved, and the directory that it lies in at most.
    expect(frozenCalls.filter((name) => name.startsWith('readFiles'))).toEqual(['readFiles 1']);
    expect(await contentAt('d3/f10')).toBe('moved since');
    await fixture.expectKept();
  });

  it('has large files open before it that were taken before, and copies them as they are by then', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    files.mapAnywhere(true);
    for (const name of ['grows', 'shrinks', 'replaced', 'gone', 'still']) fixture.write(name, noise(MIB, 7));
    const session = await openCaptureSession(fixture.store, fixture.state);
    for (let round = 1; round <= 3; round += 1) {
      fixture.write('grows', noise(MIB + round * 70_000, round));
      fixture.write('shrinks', noise(MIB - round * 70_000, round));
      for (const name of ['replaced', 'gone']) fixture.write(name, noise(MIB, 10 * round));
      frozenCalls = [];
      const freeze = freezing(() => {
        fixture.write('grows', noise(2 * MIB + round, 20 + round));
        fixture.write('shrinks', noise(500_000 - round, 20 + round));
        fixture.write('next', noise(MIB, 30 + round));
        renameSync(fixture.path('next'), fixture.path('replaced'));
        rmSync(fixture.path('gone'));
      });
      const report = await session.capture({ freeze });
      expect(report).toMatchObject({ unsettled: [], skipped: [] });
      // Of those taken before, only what another file took the place of is opened anew.
      if (round > 1) expect(frozenCalls.filter((name) => name === 'openFileScan')).toHaveLength(1);
      await fixture.expectKept();
    }
    await session.close();
  });

  it('leaves nothing open when it is given up after the pause', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    // What is mapped stays open, on any file system.
    files.mapAnywhere(true);
    // So few that none of them is read before the freeze point.
    const names = ['a', 'b', 'c'];
    const change = (round: number): void => {
      for (const [i, name] of names.entries()) fixture.write(name, noise(MIB, 40 + 4 * round + i));
    };
    const open = (): string[] =>
      readdirSync('/proc/self/fd').flatMap((fd) => {
        try {
          const path = readlinkSync(`/proc/self/fd/${fd}`);
          return path.startsWith(`${fixture.state}/`) ? [path] : [];
        } catch {
          return [];
        }
      });
    const session = await openCaptureSession(fixture.store, fixture.state);
    change(0);
    await session.capture({ freeze: freezing() });
    change(1);
    const giveUp = new AbortController();
    const freeze = async () => ({
      rescan: [],
      thaw: async () => {
        expect(open().length).toBeGreaterThan(0);
        giveUp.abort();
        return 1;
      },
    });
    await expect(session.capture({ freeze, signal: giveUp.signal })).rejects.toMatchObject({ code: 'DK_ABORTED' });
    expect(open()).toEqual([]);
    await session.capture();
    await session.close();
    await fixture.expectKept();
  });

  it('takes more than fits into memory, too', async () => {
    fixture = await StateFixture.create(REAL, { schema });
    fixture.write('one', noise(40 * MIB, 4));
    fixture.write('two', noise(40 * MIB, 5));
    for (let i = 0; i < 100; i += 1) fixture.write(`f${i}`, noise(200_000, 6 + i));
    const session = await openCaptureSession(fixture.store, fixture.state);
    await session.capture({ freeze: freezing() });
    await session.close();
    await fixture.expectKept();
  });
});
