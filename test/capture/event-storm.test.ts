/** A process that writes in a tight loop must neither hold up the event loop nor go unkept. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { watch } from '../../src/capture/capture.js';
import type { StateWatcher, WatchOptions } from '../../src/capture/types.js';
import type { Version } from '../../src/format/format.js';
import { engines, SCHEMAS, StateFixture } from './state-fixture.js';

const ENGINE = engines()[0]?.[1] as never;
/** Writes to its files in turn until it is told to end; each write is an event. */
const WRITER = `const fs=require('node:fs');const [,...names]=process.argv;
const files=names.map((name)=>fs.openSync(name,'w'));let turn=0;process.stdout.write('go');
process.stdin.on('end',()=>process.exit()).resume();
const spin=()=>{for(let i=0;i<2000;i++)fs.writeSync(files[i%files.length],Buffer.of(turn++&255),0,1,i);setImmediate(spin)};spin();`;
let fixture: StateFixture;
let watcher: StateWatcher | undefined;
let writers: ChildProcess[] = [];

async function stopWriters(): Promise<void> {
  const gone = writers.map((writer) => new Promise((resolve) => writer.once('exit', resolve)));
  for (const writer of writers) writer.stdin?.end();
  await Promise.all(gone);
  writers = [];
}

afterEach(async () => {
  await stopWriters();
  await watcher?.close();
  watcher = undefined;
  await fixture?.close();
});

async function startWriter(...names: string[]): Promise<void> {
  const paths = names.map((name) => fixture.path(name));
  const writer = spawn(process.execPath, ['-e', WRITER, ...paths], { stdio: ['pipe', 'pipe', 'inherit'] });
  writers.push(writer);
  await new Promise((resolve) => writer.stdout?.once('data', resolve));
}

/** Full scans are far off: what is found was found by events, or because they were too many. */
async function startWatch(options: WatchOptions = {}): Promise<StateWatcher> {
  const started = await watch(fixture.store, fixture.state, { rescanMs: 600_000, ...options });
  watcher = started;
  await new Promise<void>((resolve) => started.on('state', () => resolve()));
  return started;
}

async function until(condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<number> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > timeoutMs) throw new Error(`waited ${timeoutMs} ms in vain`);
    await sleep(10);
  }
  return performance.now() - start;
}

/** Longest delays of a timer while `task` runs, worst first, ms. */
async function delaysDuring(task: () => Promise<unknown>): Promise<number[]> {
  const delays: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    delays.push(now - last - 5);
    last = now;
  }, 5);
  await task();
  clearInterval(timer);
  return delays.sort((one, other) => other - one);
}

describe.each(SCHEMAS)('an event storm, schema %s', (schema) => {
  it('leaves the event loop responsive, and both the busy files and others are kept within the lag', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    mkdirSync(fixture.path('busy'));
    const lags: number[] = [];
    const started = await startWatch({ maxLagMs: 1000 });
    await startWriter('busy/a', 'busy/b');
    const sequences = new Set<number>();
    const delays = await delaysDuring(async () => {
      for (let i = 0; i < 4; i += 1) {
        const content = 'x'.repeat(i + 1);
        fixture.write('quiet/file', content);
        fixture.write('busy/other', content);
        lags.push(
          await until(async () => {
            const heads = await Promise.all([fixture.head('quiet/file'), fixture.head('busy/other')]);
            return heads.every((head) => head?.size === content.length);
          }, 8000),
        );
        sequences.add((await fixture.head('busy/a'))?.sequence ?? -1);
      }
    });
    // The busiest of machines may hold up one turn; a storm that is not cut off holds up seconds.
    expect(delays[1]).toBeLessThan(400);
    for (const lag of lags) expect(lag).toBeLessThan(2500);
    expect([...sequences].filter((sequence) => sequence > 0).length).toBeGreaterThan(1);
    await stopWriters();
    await until(() => started.state === 'watching', 10_000);
    await fixture.expectKept();
    expect(started.missedChanges).toBe(0);
  }, 30_000);

  it('sees directories that change hands in a directory that is off watch', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('busy/sub/inner', '1');
    await startWatch({ maxLagMs: 400 });
    await startWriter('busy/a', 'busy/b');
    for (let i = 0; i < 3; i += 1) {
      await sleep(150);
      renameSync(fixture.path('busy/sub'), fixture.path(`away${i}`));
      fixture.write('busy/sub/inner', 'fresh');
      await sleep(150);
      fixture.write(`away${i}/inner`, 'moved');
      rmSync(fixture.path(`away${i}`), { recursive: true });
    }
    await stopWriters();
    await sleep(1000);
    // No longer busy: only a watch on the directory that stands there now can hear of this.
    writeFileSync(fixture.path('busy/sub/inner'), 'heard');
    await until(async () => (await fixture.head('busy/sub/inner'))?.size === 5, 2000);
    writeFileSync(fixture.path('busy/sub/inner'), 'heard again');
    await until(async () => (await fixture.head('busy/sub/inner'))?.size === 11, 2000);
    await fixture.expectKept();
  }, 30_000);
});

describe.each(SCHEMAS)('a full queue of events, schema %s', (schema) => {
  it('shows as degraded and is followed by a scan: of 20,000 files made at once and one change, nothing is lost', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    mkdirSync(fixture.path('flat'));
    fixture.write('quiet/old', 'before');
    const started = await startWatch({ maxLagMs: 1000 });
    const states: string[] = [];
    started.on('state', (state, reason) => states.push(`${state} ${reason}`));
    // Nothing turns meanwhile: the kernel queues two events for each file, and keeps 16,384.
    const paths = Array.from({ length: 20_000 }, (_, i) => {
      if (i < 10_000) return `flat/f${i}`;
      const directory = `deep/${i % 10}/${i % 100}/${i % 500}/and/deeper`;
      if (i < 10_500) mkdirSync(fixture.path(directory), { recursive: true });
      return `${directory}/f${i}`;
    });
    for (const [i, path] of paths.entries()) writeFileSync(fixture.path(path), `${i}`);
    writeFileSync(fixture.path('quiet/old'), 'after');
    await until(() => states.length > 0, 20_000);
    expect(states[0]).toMatch(/degraded more events/);
    await until(() => started.state === 'watching', 40_000);
    await until(async () => (await fixture.head('quiet/old'))?.size === 5, 10_000);
    const kept = new Map<string, Version>();
    for await (const batch of fixture.store.entries()) for (const one of batch) kept.set(one.path, one);
    for (const [i, path] of paths.entries()) {
      const { digest } = kept.get(path) ?? { digest: null };
      if (digest?.equals(fixture.engine.digest(fixture.store.hashAlgo, Buffer.from(`${i}`))) !== true)
        expect(path).toBe('kept');
    }
    expect([...kept.values()].filter(({ type }) => type === 1).length).toBe(paths.length + 1);
  }, 120_000);
});

describe.each(SCHEMAS)('a directory with more events than it has names, schema %s', (schema) => {
  it('is listed instead, unnoticed: nothing is degraded, nothing is missed, and nothing waits for ever', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    for (let i = 0; i < 20; i += 1) fixture.write(`busy/f${i}`, 'before');
    const started = await startWatch({ maxLagMs: 400 });
    const states: string[] = [];
    started.on('state', (state) => states.push(state));
    // A few thousand events a second: far below what cannot be handled.
    const end = performance.now() + 2500;
    let round = 0;
    while (performance.now() < end) {
      round += 1;
      for (let i = 0; i < 20; i += 1) fixture.write(`busy/f${i}`, `${round}`.padStart(7, '.'));
      if (round % 50 === 0) fixture.write(`busy/new${round}`, 'x');
      await sleep(5);
    }
    const last = `${round}`.padStart(7, '.');
    const digest = fixture.engine.digest(fixture.store.hashAlgo, Buffer.from(last));
    await until(async () => (await fixture.head('busy/f19'))?.digest?.equals(digest) ?? false, 2000);
    // It is heard again.
    fixture.write('busy/f3', 'afterwards');
    await until(async () => (await fixture.head('busy/f3'))?.size === 10, 2000);
    await fixture.expectKept();
    expect(states).toEqual([]);
    expect(started.missedChanges).toBe(0);
  }, 30_000);

  it('stays off watch from one timed capture to the next, and is heard again when it is quiet', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    for (let i = 0; i < 20; i += 1) fixture.write(`busy/f${i}`, 'before');
    const started = await startWatch({ maxLagMs: 400, settleMs: 200 });
    const captures: number[] = [];
    started.on('checkpoint', ({ checkpoint }) => captures.push(checkpoint?.sequence ?? 0));
    const end = performance.now() + 2500;
    let round = 0;
    while (performance.now() < end) {
      round += 1;
      for (let i = 0; i < 20; i += 1) fixture.write(`busy/f${i}`, `${round}`.padStart(7, '.'));
      // Its directory is off watch: what is made in it is found by listing it, and watched from then on.
      if (round % 50 === 0) fixture.write(`busy/below${round}/new`, 'x');
      await sleep(5);
    }
    const last = `${round}`.padStart(7, '.');
    const digest = fixture.engine.digest(fixture.store.hashAlgo, Buffer.from(last));
    await until(async () => (await fixture.head('busy/f19'))?.digest?.equals(digest) ?? false, 4000);
    expect(captures.length).toBeGreaterThan(2);
    // Long enough for it to be watched again: only an event tells of these.
    await sleep(1500);
    fixture.write('busy/f3', 'afterwards');
    await until(async () => (await fixture.head('busy/f3'))?.size === 10, 4000);
    if (round >= 50) fixture.write('busy/below50/new', 'heard');
    if (round >= 50) await until(async () => (await fixture.head('busy/below50/new'))?.size === 5, 4000);
    await fixture.expectKept();
    expect(started.missedChanges).toBe(0);
  }, 30_000);
});
