/** The wall clock jumps while a directory is watched: captures go on, nothing is lost, and no duration is of that clock. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { watch } from '../../src/capture/capture.js';
import type { CaptureReport, StateWatcher } from '../../src/capture/types.js';
import { type Clock, silentLogger, systemClock } from '../../src/core/core.js';
import { ControlPanel } from '../../src/sidecar/control-panel.js';
import { Figures } from '../../src/sidecar/figures.js';
import { openStore, type Store } from '../../src/store/store.js';
import { sequencesOf } from '../store/store-fixture.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** For what comes by itself, on a busy machine late. */
const WAITING = { timeout: 60_000, interval: 20 };

let base = '';
let store: Store;
let watcher: StateWatcher | undefined;
let jumpedMs = 0;
const clock: Clock = { nowMs: () => systemClock.nowMs() + jumpedMs, steadyMs: systemClock.steadyMs };
beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-jump-'));
  await mkdir(path.join(base, 'data'));
  jumpedMs = 0;
  store = await openStore(path.join(base, 'keep'), { create: true, clock });
});
afterEach(async () => {
  await watcher?.close({ finalCapture: false });
  watcher = undefined;
  await store.close();
  await rm(base, { recursive: true, force: true });
});

async function contentOf(name: string): Promise<string> {
  const [head] = await store.heads([name]);
  return head ? (await store.reader(head).read(0, head.size)).toString() : '';
}

it('hours and days, back and forth: captures come in time, keep-within keeps what was taken before', async () => {
  const reports: CaptureReport[] = [];
  watcher = await watch(store, path.join(base, 'data'), {
    clock,
    // The events alone bring the captures, and what they cost spaces them.
    rescanMs: 600_000,
    settleMs: 100,
    spacing: () => 30,
    retention: { policy: { keepWithinMs: HOUR_MS }, intervalMs: 20 },
  });
  watcher.on('checkpoint', (report) => reports.push(report));
  await watcher.flush({ force: true });
  const startMs = performance.now();
  const jumps = [0, -2 * HOUR_MS, -30 * DAY_MS, -30 * DAY_MS - 1];
  for (const [index, jump] of jumps.entries()) {
    await writeFile(path.join(base, 'data/file'), `state ${index}`);
    // Between the event and its capture, as a rule.
    await sleep(40);
    jumpedMs = jump;
    await expect.poll(() => contentOf('file'), WAITING).toBe(`state ${index}`);
    await expect.poll(() => reports.at(-1)?.checkpoint?.sequence === store.newest?.sequence, WAITING).toBe(true);
    const { lagMs = -1, elapsedMs = -1 } = reports.at(-1) ?? {};
    for (const ms of [lagMs, elapsedMs]) {
      expect(ms).toBeGreaterThanOrEqual(0);
      expect(ms).toBeLessThanOrEqual(performance.now() - startMs);
    }
  }
  expect(watcher.state).toBe('watching');
  // Nothing was taken for older than it is: after the first jump every other checkpoint is of the future.
  const all = await sequencesOf(store);
  expect(all).toEqual(Array.from({ length: all.length }, (_, index) => index + 1));
  expect(all.length).toBeGreaterThanOrEqual(jumps.length);
  // That the policy was carried out all the time: now everything else is a day old.
  jumpedMs = 2 * DAY_MS;
  await writeFile(path.join(base, 'data/file'), 'the last');
  await expect.poll(() => contentOf('file'), WAITING).toBe('the last');
  await expect.poll(async () => (await sequencesOf(store)).length, WAITING).toBe(1);
  expect((await store.verify({ readData: true })).damage).toEqual([]);
}, 120_000);

it('a running sidecar has been up for as long as it was', () => {
  const figures = new Figures();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - DAY_MS });
  try {
    const panel = new ControlPanel({
      options: { stateDir: 'data', store: 'keep' },
      store,
      figures,
      logger: silentLogger,
    });
    const { uptimeMs } = panel.status() as { readonly uptimeMs: number };
    expect(uptimeMs).toBeGreaterThanOrEqual(0);
    expect(uptimeMs).toBeLessThan(HOUR_MS);
  } finally {
    vi.useRealTimers();
  }
});
