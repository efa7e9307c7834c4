/** The control interface, the commands around checkpoints, and the metrics. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseControl, parseHostPort, parseMetricsAddress, storeSocket } from '../../src/control/control.js';
import { ensureBuilt, jsonLines, type RunningCli, runCli, scratch, startCli } from '../cli/cli-process.js';

/** Changes a file all the time. */
const WRITER = 'while date +%N > data/now; do sleep 0.05; done';
/** For what comes by itself, on a busy machine late. */
const WAITING = { timeout: 60_000, interval: 50 };

let cwd = '';
let remove = async (): Promise<void> => {};
let running: RunningCli | undefined;
const at = (name: string): string => path.join(cwd, name);
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(async () => {
  running?.process.kill('SIGTERM');
  await running?.ended;
  running = undefined;
  await remove();
});

function start(...words: string[]): RunningCli {
  const command = words.includes('--') ? [] : ['--', 'sh', '-c', WRITER];
  running = startCli(['--state-dir=data', '--store=keep', '--max-lag=100ms', '--debug', ...words, ...command], { cwd });
  return running;
}

interface Answer {
  readonly code: number;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

interface Asked {
  readonly method?: string;
  readonly socketPath?: string;
  readonly port?: number;
  readonly headers?: Record<string, string>;
}

function ask(place: string, options: Asked = {}): Promise<Answer> {
  const where = options.port === undefined ? { socketPath: options.socketPath ?? at('keep/control.sock') } : {};
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', path: place, ...options, ...where }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => {
        const json = text.startsWith('{') ? JSON.parse(text) : {};
        resolve({ code: answer.statusCode ?? 0, text, json });
      });
    });
    asked.once('error', reject);
    asked.end();
  });
}

/** Metrics of a text: each with its labels, as it stands there without the common prefix. */
function metricsOf(text: string): Map<string, number> {
  const found = text.matchAll(/^diffkeeper_(.+) (\S+)$/gm);
  return new Map([...found].map(([, name = '', value]) => [name, Number(value)]));
}

const log = async (): Promise<Record<string, unknown>[]> =>
  jsonLines((await runCli(['log', '--store=keep', '--json', '--limit=0'], { cwd })).stdout);

describe('over the socket in the store', () => {
  it('takes a checkpoint with a tag, tells status, health and metrics', async () => {
    await start('--consistency=freeze', '--checkpoint-interval=10s').until(/started sh/);
    await running?.until(/checkpoint \(sequence/);
    expect(statSync(at('keep/control.sock')).mode & 0o777).toBe(0o600);
    expect(await ask('/healthz')).toMatchObject({ code: 200, text: 'ok\n' });
    expect(await ask('/readyz')).toMatchObject({ code: 200, text: 'ready\n' });
    // Time for a change that is heard of, whose lag can be told.
    await sleep(300);
    const made = await ask('/checkpoint?tag=before%20the%20upgrade', { method: 'POST' });
    expect(made).toMatchObject({ code: 200, json: { tag: 'before the upgrade', frozen: true } });
    expect(made.json.pauseMs).toBeGreaterThan(0);
    const { json: status } = await ask('/status');
    expect(status).toMatchObject({ phase: 'running', state: 'watching', degraded: false, restarts: 0 });
    expect(status.newest).toMatchObject({ tag: 'before the upgrade', sequence: made.json.sequence });
    const { text: metrics } = await ask('/metrics');
    for (const name of [
      'checkpoints_total',
      'pause_seconds_bucket',
      'stop_seconds_bucket',
      'lag_seconds_count',
      'agent_info',
      'up',
      'ready',
    ]) {
      expect(metrics).toMatch(new RegExp(`^diffkeeper_${name}(\\{.*\\})? [1-9]`, 'm'));
    }
    expect(metrics).toMatch(/^diffkeeper_degraded 0$/m);
    running?.process.kill('SIGTERM');
    await running?.ended;
    expect((await log()).map(({ tag }) => tag)).toContain('before the upgrade');
    const [{ pauses } = {}] = jsonLines((await runCli(['stats', '--store=keep', '--json'], { cwd })).stdout);
    expect(pauses).toMatchObject({ count: expect.any(Number), maxMs: expect.any(Number) });
    expect((pauses as { readonly maxMs: number }).maxMs).toBeGreaterThan(0);
  });

  it('is not ready while the application is down and waits for its restart: 503, and ready again', async () => {
    const app = '[ -e go ] || exit 3; echo > well; while :; do sleep 0.05; done';
    await start('--restart=on-failure', '--restart-limit=8', '--', 'sh', '-c', app).until(/started again/);
    // Between two lives are at least a second, then two, four and more: one of the questions falls there.
    await expect.poll(() => ask('/readyz'), WAITING).toMatchObject({ code: 503, text: 'restarting\n' });
    await expect.poll(async () => (await ask('/metrics')).text, WAITING).toMatch(/^diffkeeper_ready 0$/m);
    await expect.poll(async () => (await ask('/status')).json, WAITING).toMatchObject({ phase: 'restarting' });
    // The sidecar itself is alive all the time: whoever restarts what is not, leaves it alone.
    expect(await ask('/healthz')).toMatchObject({ code: 200 });
    writeFileSync(at('go'), '');
    await expect.poll(() => existsSync(at('well')), WAITING).toBe(true);
    expect(await ask('/readyz')).toMatchObject({ code: 200 });
    const { json: status } = await ask('/status');
    expect(status.phase).toBe('running');
    expect(status.restarts).toBeGreaterThan(0);
    expect((await ask('/metrics')).text).toMatch(/^diffkeeper_ready 1$/m);
  }, 120_000);

  it('measures large files, what was there already, and captures that stored something', async () => {
    const bytes = randomBytes(300_000);
    mkdirSync(at('data'));
    for (const name of ['one', 'two']) writeFileSync(at(`data/${name}`), bytes);
    writeFileSync(at('data/small'), 'x');
    await start().until(/started sh/);
    await running?.until(/checkpoint \(sequence/);
    const { text } = await ask('/metrics');
    const figure = (name: string): number => Number(new RegExp(`^diffkeeper_${name} (\\S+)$`, 'm').exec(text)?.[1]);
    expect(figure('large_file_tracked_total')).toBe(2);
    expect(figure('chunk_dedup_ratio')).toBeCloseTo(0.5, 2);
    expect(figure('chunk_capture_duration_ms_count')).toBeGreaterThan(0);
  });

  it('refuses what it does not know, other methods, long tags and web pages', async () => {
    await start().until(/started sh/);
    await running?.until(/checkpoint \(sequence/);
    expect((await ask('/other')).code).toBe(404);
    expect((await ask('/checkpoint')).code).toBe(405);
    expect((await ask('/status', { method: 'POST' })).code).toBe(405);
    expect((await ask(`/checkpoint?tag=${'x'.repeat(2000)}`, { method: 'POST' })).code).toBe(400);
    expect((await ask('/checkpoint', { method: 'POST', headers: { origin: 'http://page' } })).code).toBe(403);
  });

  it('takes the place of a killed run, not of a living one', async () => {
    const first = start('--control=unix:control');
    await first.until(/started sh/);
    const second = ['--state-dir=other', '--store=kept', '--control=unix:control', '--', 'true'];
    const refused = await runCli(second, { cwd });
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/another process listens/) });
    const child = Number((await first.until(/childPid=(\d+)/))[1]);
    first.process.kill('SIGKILL');
    // It holds the pipes: without its end the first one's output never ends.
    process.kill(child, 'SIGKILL');
    await first.ended;
    expect((await runCli(second, { cwd })).code).toBe(0);
  });
});

describe('over an address', () => {
  it('control on loopback checks the name it is called by; metrics take no orders', async () => {
    const one = start('--control=127.0.0.1:0', '--metrics-addr=127.0.0.1:0');
    await one.until(/started sh/);
    const port = Number((await one.until(/control interface \(address="?127\.0\.0\.1:(\d+)/))[1]);
    const metrics = Number((await one.until(/info: metrics \(address="?127\.0\.0\.1:(\d+)/))[1]);
    expect((await ask('/status', { port })).code).toBe(200);
    expect((await ask('/status', { port, headers: { host: 'evil.example' } })).code).toBe(403);
    expect((await ask('/metrics', { port: metrics, headers: { host: 'pod.example' } })).code).toBe(200);
    expect((await ask('/checkpoint', { port: metrics, method: 'POST' })).code).toBe(404);
  });

  it('is checked before anything is started', async () => {
    for (const option of ['--control=0.0.0.0:9911', '--control=nothing', '--metrics-addr=:99999']) {
      const result = await runCli(['--state-dir=data', '--store=keep', option, '--', 'echo', 'started'], { cwd });
      expect([option, result.code, result.stdout]).toEqual([option, 2, '']);
    }
    expect(parseHostPort('[::1]:80')).toEqual({ kind: 'tcp', host: '::1', port: 80 });
    expect(parseHostPort(':9911')).toEqual({ kind: 'tcp', host: '0.0.0.0', port: 9911 });
    expect(parseMetricsAddress('unix:/run/x')).toEqual({ kind: 'socket', path: '/run/x' });
    expect(parseControl('localhost:1')).toMatchObject({ host: 'localhost' });
    expect(() => parseControl(`unix:/${'x'.repeat(200)}`)).toThrow(/longer/);
    expect(storeSocket(`/${'x'.repeat(200)}`)).toBeUndefined();
  });
});

/** One that nobody has now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('commands around checkpoints', () => {
  it.each(['file', 'freeze'])('run in order, with what they need to know (%s)', async (consistency) => {
    const before = 'echo "before $DIFFKEEPER_HOOK $(basename $DIFFKEEPER_STATE_DIR)" >> hooks';
    const words = [`--consistency=${consistency}`, '--checkpoint-interval=100ms', `--before-checkpoint=${before}`];
    await start(...words, '--after-checkpoint=echo after >> hooks').until(/checkpoint \(sequence=3/);
    const lines = (await readFile(at('hooks'), 'utf8')).trim().split('\n');
    expect(lines.slice(0, 4)).toEqual([
      'before before-checkpoint data',
      'after',
      'before before-checkpoint data',
      'after',
    ]);
    expect((await ask('/metrics')).text).toMatch(
      /^diffkeeper_hook_total\{hook="before-checkpoint",outcome="ok"\} [1-9]/m,
    );
  });

  it('a failing one means no checkpoint, and it is tried again', async () => {
    const before = 'echo "not now"; [ -e go ]';
    const one = start(`--before-checkpoint=${before}`, '--after-checkpoint=echo after >> hooks');
    await one.until(/capture failed; trying again.*ended with 1: not now/);
    expect((await ask('/status')).json).toMatchObject({ degraded: true, checkpoints: 0 });
    expect(await readFile(at('hooks'), 'utf8')).toMatch(/after/);
    writeFileSync(at('go'), '');
    await one.until(/checkpoint \(sequence/);
  });

  it('the second one fails: that is logged and counted, and the checkpoint counts', async () => {
    const hooks = ['--before-checkpoint=echo all is well', '--after-checkpoint=echo not quite >&2; exit 4'];
    const words = ['--state-dir=data', '--store=keep', '--max-lag=100ms', ...hooks, '--', 'sh', '-c', WRITER];
    // Without --debug: what succeeded says so, too.
    running = startCli(words, { cwd });
    await running.until(/error: the after-checkpoint command ended with 4: not quite/);
    await running.until(/info: hook \(hook=before-checkpoint outcome=ok elapsedMs=\S+ output="all is well"\)/);
    await expect.poll(async () => (await ask('/status')).json.checkpoints, WAITING).toBeGreaterThan(1);
    const { json: status } = await ask('/status');
    expect(status).toMatchObject({ state: 'watching', degraded: false, captureFailures: 0 });
    const counts = status.hooks as Record<string, number>;
    expect(Object.keys(counts).sort()).toEqual(['after-checkpoint failed', 'before-checkpoint ok']);
    const figures = metricsOf((await ask('/metrics')).text);
    for (const [key, count] of Object.entries(counts)) {
      const [hook, outcome] = key.split(' ');
      expect(figures.get(`hook_total{hook="${hook}",outcome="${outcome}"}`)).toBeGreaterThanOrEqual(count);
    }
    expect(figures.get('hook_seconds_count')).toBeGreaterThan(1);
    expect(figures.get('hook_seconds_sum')).toBeGreaterThan(0);
  });

  it('a hanging one is killed with all that it started', async () => {
    const before = 'sleep 33 & echo $! > sleeper; wait';
    await start(`--before-checkpoint=${before}`, '--hook-timeout=300ms').until(/longer than 300 ms and was killed/);
    const sleeper = Number(await readFile(at('sleeper'), 'utf8'));
    await sleep(50);
    expect(await readFile(`/proc/${sleeper}/stat`, 'utf8').catch(() => ' Z ')).toMatch(/ Z /);
    const figures = metricsOf((await ask('/metrics')).text);
    expect(figures.get('hook_total{hook="before-checkpoint",outcome="timeout"}')).toBeGreaterThan(0);
    expect(figures.get('hook_total{hook="before-checkpoint",outcome="ok"}')).toBeUndefined();
    expect(figures.get('hook_seconds_sum')).toBeGreaterThanOrEqual(0.29);
    const { json: status } = await ask('/status');
    expect(status.hooks).toEqual({ 'before-checkpoint timeout': expect.any(Number) });
    expect(status).toMatchObject({ degraded: true, checkpoints: 0 });
  });

  it('do not keep the last capture waiting when the application ends, and end what they have begun', async () => {
    const before = 'touch hooked; sleep 600';
    const after = 'touch undone; sleep 600';
    const app = 'until [ -e hooked ]; do sleep 0.05; done; echo words > data/last';
    const hooks = [`--before-checkpoint=${before}`, `--after-checkpoint=${after}`, '--hook-timeout=10m'];
    const one = start(...hooks, '--', 'sh', '-c', app);
    expect((await one.ended).code).toBe(0);
    expect(existsSync(at('undone'))).toBe(true);
    expect((await runCli(['cat', '--store=keep', 'last'], { cwd })).stdout).toBe('words\n');
  }, 60_000);

  it.each(['unix', 'tcp'])(
    'one that asks for a checkpoint is refused at once, and others wait for it (%s)',
    async (kind) => {
      const port = await freePort();
      const where = kind === 'unix' ? '{socketPath:"keep/control.sock"}' : `{port:${port},host:"127.0.0.1"}`;
      writeFileSync(
        at('ask.cjs'),
        `const asked=require('node:http').request({...${where},path:'/checkpoint',method:'POST'},(answer)=>{
let text='';answer.on('data',(part)=>{text+=part}).on('end',()=>require('node:fs').writeFileSync('answer',answer.statusCode+text))});
asked.on('error',(error)=>{console.log(String(error));process.exitCode=1});asked.end();`,
      );
      // Asked by what it has started, in a session of its own; then it waits for another who asks.
      const before = `[ -e answer ] || setsid -w "${process.execPath}" ask.cjs; until [ -e go ]; do sleep 0.05; done`;
      const control = kind === 'tcp' ? [`--control=127.0.0.1:${port}`] : [];
      const one = start(...control, '--hook-timeout=10m', `--before-checkpoint=${before}`);
      await expect.poll(() => existsSync(at('answer')), WAITING).toBe(true);
      expect(await readFile(at('answer'), 'utf8')).toMatch(
        /^409\{"code":"DK_WITHIN_HOOK","message":".*before-checkpoint/,
      );
      if (kind === 'unix') {
        const other = ask('/checkpoint?tag=other', { method: 'POST' });
        await ask('/status');
        writeFileSync(at('go'), '');
        expect(await other).toMatchObject({ code: 200, json: { tag: 'other' } });
      } else {
        writeFileSync(at('go'), '');
      }
      await one.until(/checkpoint \(sequence/);
    },
    60_000,
  );

  it('a script that cannot be run is told about', async () => {
    writeFileSync(at('hook'), '#!/bin/sh\n');
    chmodSync(at('hook'), 0o600);
    await start('--before-checkpoint=./hook').until(/capture failed.*ended with 126/);
  });
});
