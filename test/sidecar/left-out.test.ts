/** What a sidecar leaves out: it says so once, and shows how much it is now. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LeftOutWarnings } from '../../src/capture/capture.js';
import type { CaptureSkip } from '../../src/capture/types.js';
import { silentLogger } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadTwin } from '../../src/engine/load.js';
import { Figures } from '../../src/sidecar/figures.js';
import { Heap } from '../../src/sidecar/heap.js';
import { Keeper } from '../../src/sidecar/keeper.js';
import { Metrics } from '../../src/sidecar/run-metrics.js';
import { openStore } from '../../src/store/store.js';
import { deepPath, removeTree, writeDeep } from '../capture/deep-tree.js';
import { ensureBuilt, type RunningCli, runCli, startCli } from '../cli/cli-process.js';
import { asking } from './shown-health.js';

let cwd = '';
const at = (name: string): string => join(cwd, name);
beforeAll(ensureBuilt, 120_000);
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'dk-left-out-'));
  mkdirSync(at('data'));
});
afterEach(() => removeTree(cwd));

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; !(await condition()); tries += 1) {
    if (tries > 1500) throw new Error(`waited in vain until ${what}`);
    await sleep(20);
  }
}

const fifo = (name: string): unknown => execFileSync('mkfifo', [at(join('data', name))]);
const warnings = (text: string): string[] => text.split('\n').filter((line) => line.includes('left out'));

describe('run', () => {
  const start = async (...more: string[]): Promise<RunningCli> => {
    const words = ['run', '--state-dir=data', '--store=keep', '--max-lag=100ms', ...more];
    const running = startCli(
      [...words, '--', 'sh', '-c', 'trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done'],
      {
        cwd,
      },
    );
    await running.until(/ready/);
    return running;
  };
  const status = async (): Promise<Record<string, unknown>> => {
    const reply = await asking(at('keep/control.sock'))('/status').catch(() => undefined);
    return reply === undefined ? {} : (JSON.parse(reply.text) as Record<string, unknown>);
  };

  it.each(['file', 'freeze'])(
    'warns of each entry once, and counts those that are there, consistency %s',
    async (mode) => {
      for (const name of ['one', 'two']) fifo(name);
      writeFileSync(at('data/kept'), 'kept');
      const running = await start(`--consistency=${mode}`, '--checkpoint-interval=100ms');
      await until(async () => (await status()).skipped === 2, 'both are counted');
      fifo('three');
      await until(async () => (await status()).skipped === 3, 'the third one is counted, too');
      for (let round = 0; round < 3; round += 1) {
        writeFileSync(at('data/kept'), `round ${round}`);
        const { newest } = (await status()) as { newest: { sequence: number } };
        await until(
          async () => ((await status()).newest as typeof newest).sequence > newest.sequence,
          'it is captured',
        );
        expect(await status()).toMatchObject({ skipped: 3, leftOut: { special: 3, unreadable: 0 }, degraded: false });
      }
      const metrics = (await asking(at('keep/control.sock'))('/metrics')).text;
      expect(metrics).toContain('diffkeeper_skipped_entries{reason="special"} 3');
      rmSync(at('data/two'));
      await until(async () => (await status()).skipped === 2, 'one is gone');
      running.process.kill('SIGTERM');
      const { code, stderr } = await running.ended;
      expect(code).toBe(7);
      const told = warnings(stderr);
      expect(told).toHaveLength(3);
      for (const name of ['one', 'two', 'three']) {
        expect(
          told.filter((line) => line.includes(`path=${name} `)),
          stderr,
        ).toHaveLength(1);
      }
      expect(stderr).toContain('final state is kept (');
    },
    90_000,
  );

  it('starts beside a path that is too long, keeps the rest, and says at the end that it is not all', async () => {
    writeDeep(at('data'), deepPath(24), 'file', 'too deep');
    const running = await start();
    await until(async () => (await status()).skipped === 1, 'it is counted');
    writeFileSync(at('data/after'), 'after');
    await until(async () => ((await status()).newest as { sequence: number }).sequence === 2, 'the file is captured');
    const shown = await status();
    expect(shown).toMatchObject({ state: 'watching', degraded: true, captureFailures: 0, leftOut: { 'too-long': 1 } });
    expect(shown.reason).toMatch(/too long/);
    expect((await asking(at('keep/control.sock'))('/readyz')).code).toBe(200);
    running.process.kill('SIGTERM');
    const { code, stderr } = await running.ended;
    expect(code).toBe(7);
    expect(warnings(stderr)).toHaveLength(2);
    expect(stderr).toMatch(/warn: final state is kept, but for what is left out \(.*leftOut=1/);
    expect((await runCli(['cat', '--store=keep', 'after'], { cwd })).stdout).toBe('after');
  }, 60_000);

  it('an application that ends at once is no reason to say nothing', async () => {
    const words = ['run', '--state-dir=data', '--store=keep', '--', 'mkfifo', 'data/pipe'];
    const { code, stderr } = await runCli(words, { cwd });
    expect(code).toBe(0);
    expect(warnings(stderr)).toHaveLength(1);
  }, 60_000);
});

it('watch warns as well', async () => {
  fifo('pipe');
  const running = startCli(['watch', '--state-dir=data', '--store=keep', '--max-lag=100ms'], { cwd });
  await running.until(/warn: left out of the checkpoints \(path=pipe /);
  writeFileSync(at('data/file'), 'content');
  await running.until(/checkpoint 1: /);
  running.process.kill('SIGINT');
  expect(warnings((await running.ended).stderr)).toHaveLength(1);
}, 60_000);

it('a file that cannot be read is degraded until it can', async () => {
  // Root reads everything: the engine says what the kernel would say to others.
  let denied = true;
  const twin = loadTwin();
  const engine: Engine = {
    ...twin,
    readFiles: async (options) => {
      const read = await twin.readFiles(options);
      for (const [i, name] of options.paths.entries()) if (denied && name === 'secret') read.status[i] = -13;
      return read;
    },
  };
  const store = await openStore(at('keep'), { create: true, engine });
  const warned: object[] = [];
  const logger = { ...silentLogger, warn: (facts: object) => void warned.push(facts) };
  writeFileSync(at('data/secret'), 'secret');
  const figures = new Figures();
  const parts = { store, stateDir: at('data'), figures, heap: new Heap(false), warnings: new LeftOutWarnings(logger) };
  const keeper = new Keeper({ ...parts, options: { logger, rescanMs: 600_000, settleMs: 20 } });
  keeper.start();
  await until(() => figures.leftOut().unreadable === 1, 'it is left out');
  expect([figures.degraded, figures.watchState]).toEqual([true, 'watching']);
  expect(figures.reason).toMatch(/cannot be read.*: 1$/);
  const metrics = new Metrics({ figures, store, consistency: 'file', version: '0', missedChanges: () => 0 });
  expect(await metrics.text()).toContain('diffkeeper_skipped_entries{reason="unreadable"} 1');
  expect(warned).toEqual([{ path: 'secret', reason: expect.stringMatching(/^cannot be read: .*EACCES/) }]);
  denied = false;
  chmodSync(at('data/secret'), 0o640);
  await until(() => !figures.degraded, 'it is kept');
  expect(figures.reason).toBe('');
  expect(await keeper.finish()).toBe(true);
  expect(warned).toHaveLength(1);
  await store.close();
}, 60_000);

it('names the first 20 of each kind, and of others how many there are, whenever that has doubled', () => {
  const said: string[] = [];
  const warn = (facts: object, line: string): void => void said.push(`${line} ${Object.values(facts).join(' ')}`);
  const told = new LeftOutWarnings({ ...silentLogger, warn });
  const entries = (count: number, kind: CaptureSkip['kind']): CaptureSkip[] =>
    Array.from({ length: count }, (_, i) => ({ path: `${kind}${i}`, kind, reason: 'because' }));
  told.tell(entries(20, 'special'));
  expect(said).toHaveLength(20);
  told.tell(entries(20, 'special'));
  told.tell(entries(50, 'unsettled'));
  expect(said).toHaveLength(20);
  told.tell([...entries(25, 'special'), ...entries(1, 'unreadable')]);
  expect(said.slice(20)).toEqual([
    'left out of the checkpoints unreadable0 because',
    'more entries are left out than those named special 5',
  ]);
  told.tell(entries(29, 'special'));
  expect(said).toHaveLength(22);
  told.tell(entries(30, 'special'));
  expect(said.slice(22)).toEqual(['more entries are left out than those named special 10']);
});
