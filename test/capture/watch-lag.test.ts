/** The lag of changes: of those that events announce, and of those that only a scan finds. */
import { mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { watch } from '../../src/capture/capture.js';
import { MarkSet } from '../../src/capture/mark-set.js';
import type { CaptureReport, StateWatcher, WatchOptions } from '../../src/capture/types.js';
import { ageOfChange, WatchLag } from '../../src/capture/watch-lag.js';
import { LIMITS, systemClock } from '../../src/core/core.js';
import { engines, StateFixture } from './state-fixture.js';

const DAY_MS = 86_400_000;
const NOW_MS = 1.8e12;

describe('the age of a change', () => {
  const before = { wallMs: NOW_MS, steadyMs: 5000 };
  const later = (ms: number, jumpMs = 0) => ({ wallMs: NOW_MS + ms + jumpMs, steadyMs: 5000 + ms });

  it('is what its stamp says, but no longer than since the look before', () => {
    const now = later(1000);
    expect(ageOfChange(NOW_MS + 700, { before, now, isFirst: false })).toBe(300);
    expect(ageOfChange(NOW_MS + 700, { before, now, isFirst: true })).toBe(300);
    expect(ageOfChange(NOW_MS - 3 * DAY_MS, { before, now, isFirst: false })).toBe(1000);
  });

  it('is unknown of what was there before anybody watched, of what is ahead, and when the wall clock was set', () => {
    expect(ageOfChange(NOW_MS - 1, { before, now: later(1000), isFirst: true })).toBeUndefined();
    expect(ageOfChange(NOW_MS + 5000, { before, now: later(1000), isFirst: false })).toBeUndefined();
    for (const jumpMs of [-DAY_MS, -500, 500, DAY_MS]) {
      expect(ageOfChange(NOW_MS + 700, { before, now: later(1000, jumpMs), isFirst: false })).toBeUndefined();
    }
  });

  it('is never negative and never more than the time since then, whatever the clocks say', () => {
    const any = fc.oneof(fc.double(), fc.double({ min: NOW_MS - 2000, max: NOW_MS + 2000 }), fc.constant(NOW_MS));
    const jump = fc.oneof(fc.constant(0), fc.double({ min: -200, max: 200 }), fc.double());
    const past = fc.double({ min: 0, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(any, past, jump, fc.boolean(), (stampMs, sinceMs, jumpMs, isFirst) => {
        const ageMs = ageOfChange(stampMs, { before, now: later(sinceMs, jumpMs), isFirst });
        if (ageMs === undefined) return;
        expect(ageMs).toBeGreaterThanOrEqual(0);
        expect(ageMs).toBeLessThanOrEqual(sinceMs + 0.001);
      }),
    );
  });
});

describe('marks', () => {
  it('announce a path, what lies in it, and the directory it lies in', () => {
    const marks = new MarkSet();
    marks.add('a/b/c', 1);
    const announced = ['a/b/c', 'a/b/c/d/e', 'a/b', 'a', '', 'a/b/x', 'a/b/cd'].filter((one) => marks.announces(one));
    expect(announced).toEqual(['a/b/c', 'a/b/c/d/e', 'a/b']);
    marks.add('a/b/x', 2);
    expect(marks.announces('a/b/x')).toBe(true);
  });

  it('announce nothing where nothing was heard, until something is', () => {
    const marks = new MarkSet();
    marks.add('a', 1, false);
    expect([marks.announces('a'), marks.announces('a/b'), marks.heardMs]).toEqual([false, false, Infinity]);
    marks.add('a', 2);
    marks.add('a', 3, false);
    expect([marks.announces('a/b'), marks.heardMs, marks.firstMs]).toEqual([true, 2, 1]);
  });

  it('keep what they knew when they are taken back', () => {
    const [marks, other] = [new MarkSet(), new MarkSet()];
    marks.add('late', 9);
    other.add('unheard', 1, false);
    other.add('early', 2);
    marks.merge(other);
    expect([marks.heardMs, marks.firstMs]).toEqual([2, 1]);
    expect(['late', 'early', 'unheard'].map((one) => marks.announces(one))).toEqual([true, true, false]);
  });

  it('hear of what was only looked at, when an event comes', () => {
    const marks = new MarkSet();
    marks.add('a', 1, false);
    expect(marks.hears('a')).toBe(false);
    marks.add('a', 2);
    marks.add('a', 3, false);
    expect(marks.hears('a')).toBe(true);
  });

  it('are as old as what a capture knew of what is to be looked at again, and heard only where that was', () => {
    const [announced, found, both] = [new MarkSet(), new MarkSet(), new MarkSet()];
    announced.add('heard', 5);
    found.addAgain(['found'], announced, 90);
    expect([found.firstMs, found.heardMs, found.announces('found')]).toEqual([5, Infinity, false]);
    both.addAgain(['found', 'heard'], announced, 90);
    expect([both.heardMs, both.announces('heard'), both.announces('found')]).toEqual([5, true, false]);
    const none = new MarkSet();
    none.addAgain([], announced, 90);
    expect([none.empty, none.heardMs]).toEqual([true, Infinity]);
  });

  it('announce everything once there were too many', () => {
    const marks = new MarkSet();
    for (let i = 0; i <= LIMITS.watchMarks; i += 1) marks.add(`${i}`, 5);
    expect([marks.overflowed, marks.announces('other'), marks.heardMs]).toEqual([true, true, 5]);
  });
});

describe('a capture', () => {
  const facts = { rootChangedMs: 0, rescanned: false };
  const none = new Set<string>();
  let steadyMs = 1000;
  const clock = { nowMs: () => 0, steadyMs: () => steadyMs };
  const pass = (ms: number): void => {
    steadyMs += ms;
    vi.setSystemTime(Date.now() + ms);
  };
  const begun = (): WatchLag => {
    vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS });
    return new WatchLag(clock);
  };
  afterEach(() => void vi.useRealTimers());

  it('tells of what events announced, and of the rest, apart', () => {
    const lag = begun();
    lag.begin();
    expect(lag.end(true)).toEqual({});
    pass(1000);
    const marks = lag.begin();
    marks.add('heard', steadyMs - 40);
    pass(10);
    lag.wrote({ ...facts, written: ['heard', 'found', 'newer'], changedMs: [1, Date.now() - 300, Date.now()] }, none);
    pass(5);
    expect(lag.end(true)).toEqual({ lagMs: 55, scanLagMs: 305 });
  });

  it('counts an old stamp from the look before, and not at all at the first look', () => {
    const lag = begun();
    pass(100);
    lag.begin();
    lag.wrote({ ...facts, written: ['old'], changedMs: [NOW_MS - DAY_MS] }, none);
    expect(lag.end(true)).toEqual({});
    pass(700);
    lag.begin();
    // A tree that was moved here: from the begin of the look before on.
    lag.wrote({ ...facts, written: ['moved'], changedMs: [NOW_MS - DAY_MS] }, none);
    expect(lag.end(false)).toEqual({ scanLagMs: 700 });
  });

  it('counts removals by the stamp of the directory, the uppermost one, too', () => {
    const lag = begun();
    lag.begin();
    lag.end(true);
    pass(500);
    lag.begin();
    const gone = { ...facts, written: ['gone'], changedMs: [0] };
    lag.wrote(gone, none);
    expect(lag.end(true)).toEqual({});
    lag.begin();
    pass(50);
    lag.wrote({ ...gone, rootChangedMs: Date.now() - 20 }, none);
    expect(lag.end(true)).toEqual({ scanLagMs: 20 });
  });

  it('counts mapped files, whose times stand still, from when they were read before', () => {
    const lag = begun();
    lag.begin();
    lag.end(true);
    pass(5000);
    lag.begin();
    lag.wrote({ ...facts, written: [], changedMs: [], rescanned: true }, none);
    lag.end(false);
    pass(900);
    lag.begin();
    lag.wrote({ ...facts, written: ['mapped'], changedMs: [NOW_MS + 1], rescanned: true }, new Set(['mapped']));
    expect(lag.end(false)).toEqual({ scanLagMs: 900 });
  });

  it('that fails leaves what is waiting, from its begin or from the first event', () => {
    const lag = begun();
    const marks = new MarkSet();
    expect(lag.waitingMs(marks)).toBe(0);
    lag.begin();
    pass(100);
    marks.merge(lag.fail());
    lag.failing(steadyMs - 100);
    pass(400);
    // Before a capture can begin.
    lag.failing(steadyMs);
    pass(50);
    expect(lag.waitingMs(marks)).toBe(550);
    const announced = lag.begin();
    announced.add('a', steadyMs - 900);
    expect(lag.waitingMs(new MarkSet())).toBe(900);
    lag.end(true);
    expect(lag.waitingMs(new MarkSet())).toBe(0);
    marks.add('b', steadyMs - 30);
    expect(lag.waitingMs(marks)).toBe(30);
  });
});

describe('a watcher', () => {
  let fixture: StateFixture;
  let watcher: StateWatcher | undefined;
  let reports: CaptureReport[] = [];
  /** A name that is no text: events cannot tell it, so what lies in it is looked at each time. */
  const unheard = Buffer.concat([Buffer.from('unheard-'), Buffer.of(0xff)]);
  const inUnheard = (name: string): Buffer =>
    Buffer.concat([Buffer.from(`${fixture.state}/`), unheard, Buffer.from(`/${name}`)]);

  afterEach(async () => {
    await watcher?.close({ finalCapture: false });
    watcher = undefined;
    reports = [];
    await fixture.close();
  });

  async function begin(options: WatchOptions = {}): Promise<StateWatcher> {
    fixture = await StateFixture.create(engines()[0]?.[1] as never);
    mkdirSync(Buffer.concat([Buffer.from(`${fixture.state}/`), unheard]));
    fixture.write('old', 'of the year before');
    await sleep(60);
    const started = await watch(fixture.store, fixture.state, { rescanMs: 600_000, maxLagMs: 200, ...options });
    watcher = started;
    started.on('checkpoint', (report) => reports.push(report));
    await vi.waitFor(() => expect(started.state).toBe('watching'), { timeout: 30_000 });
    return started;
  }

  it('counts what was there before it began for neither', async () => {
    await begin();
    expect(reports).toHaveLength(1);
    expect(reports[0]?.added).toBeGreaterThanOrEqual(2);
    expect(reports[0]).not.toHaveProperty('scanLagMs');
  });

  it('tells the lag of what it finds without an event, whatever time a file was given', async () => {
    const started = await begin();
    for (const [i, seconds] of [1, 4e9].entries()) {
      const writtenMs = systemClock.steadyMs();
      writeFileSync(inUnheard(`file${i}`), 'x');
      utimesSync(inUnheard(`file${i}`), seconds, seconds);
      const known = reports.length;
      await vi.waitFor(() => expect(reports.slice(known).some(({ added }) => added > 0)).toBe(true), {
        timeout: 30_000,
      });
      const passedMs = systemClock.steadyMs() - writtenMs;
      const report = reports.slice(known).find(({ added }) => added > 0);
      // The stamp is of the kernel's coarse clock, which is behind by up to 10 ms.
      expect(report?.scanLagMs).toBeLessThanOrEqual(passedMs + 20);
      expect(report?.scanLagMs).toBeGreaterThanOrEqual(0);
      expect(report).not.toHaveProperty('lagMs');
    }
    await vi.waitFor(() => expect(started.waitingMs).toBe(0), { timeout: 30_000 });
  });

  it('tells apart what events announced', async () => {
    await begin();
    const known = reports.length;
    fixture.write('heard', 'x');
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(known), { timeout: 30_000 });
    expect(reports[known]?.lagMs).toBeGreaterThanOrEqual(0);
    expect(reports[known]).not.toHaveProperty('scanLagMs');
  });

  it('says how long a change has been waiting while captures fail, and counts that once they succeed', async () => {
    const started = await begin();
    started.on('error', () => {});
    const away = path.join(fixture.directory, 'away');
    const known = reports.length;
    renameSync(fixture.storePath, away);
    const sinceMs = systemClock.steadyMs();
    fixture.write('late', 'x');
    await vi.waitFor(() => expect(started.state).toBe('degraded'), { timeout: 30_000 });
    await vi.waitFor(() => expect(started.waitingMs).toBeGreaterThan(400), { timeout: 30_000 });
    expect(started.waitingMs).toBeLessThanOrEqual(systemClock.steadyMs() - sinceMs);
    rmSync(fixture.storePath, { recursive: true, force: true });
    renameSync(away, fixture.storePath);
    await vi.waitFor(() => expect(reports.length).toBeGreaterThan(known), { timeout: 30_000 });
    expect(reports[known]?.lagMs).toBeGreaterThan(400);
    await vi.waitFor(() => expect(started.waitingMs).toBe(0), { timeout: 30_000 });
  }, 60_000);
});
