/** A store that another process has when a sidecar starts: who has it for a while is waited for, who keeps it is not. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import * as path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Logger, silentLogger } from '../../src/core/core.js';
import { runSidecar } from '../../src/sidecar/sidecar.js';
import { openInTurn, STORE_WAIT_MS } from '../../src/sidecar/store-turn.js';
import { openStore, type Store, shareStore } from '../../src/store/store.js';
import { type CliResult, ensureBuilt, type RunningCli, runCli, scratch, startCli } from '../cli/cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
let running: RunningCli | undefined;
let held: Store | undefined;
const at = (name: string): string => path.join(cwd, name);
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
  await mkdir(at('data'));
  await writeFile(at('data/file'), 'content');
});
afterEach(async () => {
  running?.process.kill('SIGTERM');
  await running?.ended;
  running = undefined;
  await held?.close();
  held = undefined;
  await remove();
});

/** Has the store as a command that only looks has it, when no sidecar owns it. */
async function hold(shared: boolean): Promise<void> {
  held = await openStore(at('keep'), { create: true });
  if (shared) expect(await shareStore(held)).not.toBeNull();
}

async function letGo(): Promise<void> {
  await held?.close();
  held = undefined;
}

function listening(): { readonly logger: Logger; readonly said: [object, string][] } {
  const said: [object, string][] = [];
  return { logger: { ...silentLogger, warn: (facts: object, text: string) => void said.push([facts, text]) }, said };
}

const sidecar = ['--state-dir=data', '--store=keep'];

describe.each([false, true])('a command that has the store for a while (shared: %s)', (shared) => {
  it('is waited for, by name, and the application starts', async () => {
    await hold(shared);
    running = startCli([...sidecar, '--', 'sh', '-c', 'echo started; exit 7'], { cwd });
    await running.until(/waiting for the store/);
    expect(existsSync(at('keep/control.sock'))).toBe(false);
    await letGo();
    const { code, stdout, stderr } = await running.ended;
    expect([code, stdout.trim()]).toEqual([7, 'started']);
    expect(stderr.match(/waiting for the store/g)).toHaveLength(1);
    expect(stderr).toContain(String(process.pid));
  }, 30_000);

  it('longer than we wait is named with what to do', async () => {
    await hold(shared);
    const { logger, said } = listening();
    const options = { logger, signal: new AbortController().signal, waitMs: 300 };
    const startMs = performance.now();
    const failed = await openInTurn(at('keep'), { create: true }, options).catch((error: unknown) => error);
    expect(performance.now() - startMs).toBeGreaterThan(290);
    expect(failed).toMatchObject({
      code: 'DK_STORE_LOCKED',
      message: expect.stringMatching(/in use by process \d+ .*waited 0.3 s.: end it.*verify/),
      facts: { pid: process.pid },
    });
    expect(said).toEqual([[{ pid: process.pid, upToMs: 300 }, expect.stringContaining('waiting for the store')]]);
  });
});

it('an owner that does not answer is waited for as long as any other', async () => {
  await hold(false);
  const silent = createServer((socket) => void socket.resume());
  await new Promise<void>((resolve) => silent.listen(at('keep/read.sock'), resolve));
  const { logger } = listening();
  const controller = new AbortController();
  const options = { logger, signal: controller.signal, waitMs: 300 };
  const failed = await openInTurn(at('keep'), { create: true }, options).catch((error: unknown) => error);
  expect(failed).toMatchObject({ code: 'DK_STORE_LOCKED', message: expect.stringContaining('(waited 0.3 s)') });
  setTimeout(() => controller.abort(), 50);
  const startMs = performance.now();
  const ended = await openInTurn(at('keep'), {}, { ...options, waitMs: 60_000 }).catch((error: unknown) => error);
  expect(ended).toMatchObject({ code: 'DK_ABORTED' });
  expect(performance.now() - startMs).toBeLessThan(10_000);
  await new Promise((resolve) => silent.close(resolve));
});

it('waiting ends at once when we are asked to end', async () => {
  await hold(false);
  const { logger, said } = listening();
  const controller = new AbortController();
  const startMs = performance.now();
  const run = runSidecar({
    stateDir: at('data'),
    store: at('keep'),
    command: ['true'],
    logger,
    signal: controller.signal,
  });
  while (said.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  controller.abort();
  expect(await run).toBe(0);
  expect(performance.now() - startMs).toBeLessThan(STORE_WAIT_MS / 2);
});

describe('who keeps the store is not waited for', () => {
  const refused = async (...words: string[]): Promise<CliResult> => {
    const startMs = performance.now();
    const result = await runCli([...words, '--', 'true'], { cwd });
    expect(performance.now() - startMs).toBeLessThan(STORE_WAIT_MS - 1000);
    expect([result.code, result.stderr]).toEqual([125, expect.stringMatching(/keeps it .*DK_STORE_LOCKED/)]);
    expect(result.stderr).not.toContain('waiting for the store');
    return result;
  };

  it.each([[[]], [['--enable-diff=false']]])(
    'a sidecar %j',
    async (more) => {
      running = startCli([...sidecar, '--control=auto', '--debug', ...more, '--', 'sleep', '60'], { cwd });
      await running.until(/started sleep/);
      while (!existsSync(at('keep/control.sock'))) await new Promise((resolve) => setTimeout(resolve, 20));
      await mkdir(at('other'));
      for (const state of ['data', 'other']) {
        const { stderr } = await refused(`--state-dir=${state}`, '--store=keep', ...more);
        expect(stderr).toContain(`process ${running.pid}`);
      }
    },
    40_000,
  );

  it('a watch', async () => {
    running = startCli(['watch', ...sidecar, '--json'], { cwd });
    await running.until(/"checkpoint"/);
    while (!existsSync(at('keep/read.sock'))) await new Promise((resolve) => setTimeout(resolve, 20));
    await refused(...sidecar);
  }, 30_000);
});
