/** `ui` on the command line. */
import { mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../ui/ui-request.js';
import { ensureBuilt, runCli, scratch, startCli } from './cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const cli = (...words: string[]) => runCli(words, { cwd });

beforeAll(async () => {
  await ensureBuilt();
  ({ directory: cwd, remove } = await scratch());
  await mkdir(path.join(cwd, 'data'));
  await writeFile(path.join(cwd, 'data', 'one'), 'one\n');
  expect((await cli('capture', '--state-dir=data', '--store=keep')).code).toBe(0);
}, 120_000);
afterAll(() => remove());

describe('ui', () => {
  it('serves the page until it is interrupted, and leaves the store to others meanwhile', async () => {
    const running = startCli(['ui', '--store=./keep', '--restore-dir=./restored', '--no-open', '--json'], { cwd });
    const [, url = ''] = await running.until(/"url":"([^"]+)"/);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{43}$/);
    const client = new Client(Number(new URL(url).port));
    expect((await client.ask('/')).status).toBe(401);
    await client.enter(url);
    expect((await client.ask('/')).text).toContain('<title>DiffKeeper</title>');
    expect((await client.ask('/page-main.js')).status).toBe(200);
    expect(await client.json('/api/store')).toMatchObject({ total: 1, restoreDir: './restored' });
    await writeFile(path.join(cwd, 'data', 'one'), 'two\n');
    // The page held the store a moment ago.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect((await cli('capture', '--state-dir=data', '--store=keep')).code).toBe(0);
    expect(await client.json('/api/store')).toMatchObject({ total: 2 });
    running.process.kill('SIGINT');
    expect((await running.ended).code).toBe(0);
  });

  it('shows what a process that has the store writes', async () => {
    const watching = startCli(['watch', '--state-dir=data', '--store=keep', '--max-lag=100ms'], { cwd });
    await watching.until(/watching data/);
    const running = startCli(['ui', '--store=keep', '--no-open', '--json'], { cwd });
    const [, url = ''] = await running.until(/"url":"([^"]+)"/);
    const client = new Client(Number(new URL(url).port));
    await client.enter(url);
    const { total } = await client.json<{ total: number }>('/api/store');
    const listening = client.ask('/api/events');
    await writeFile(path.join(cwd, 'data', 'one'), 'three\n');
    await watching.until(/checkpoint \d+: .*~1/);
    await new Promise((resolve) => setTimeout(resolve, 3500));
    running.process.kill('SIGTERM');
    watching.process.kill('SIGTERM');
    await Promise.all([running.ended, watching.ended]);
    expect((await listening.catch(() => ({ text: '' }))).text).toContain(`"total":${total + 1}`);
  });

  it('shows the store of an application that runs under the sidecar, checkpoint by checkpoint, and goes on when it has ended', async () => {
    // The application takes its orders from files, and what it writes appears at once: one checkpoint for each.
    const app = `const { existsSync, renameSync, writeFileSync } = require('node:fs');
    for (const word of ['first', 'second']) {
      const timer = setInterval(() => {
        if (!existsSync('order-' + word)) return;
        clearInterval(timer);
        writeFileSync('made', word.repeat(5000));
        renameSync('made', 'live/' + word);
      }, 20);
    }
    setInterval(() => existsSync('order-end') && process.exit(7), 20);
    console.log('application is up');`;
    const order = (word: string) => writeFile(path.join(cwd, `order-${word}`), '');
    await mkdir(path.join(cwd, 'live'));
    const running = startCli(
      ['--state-dir=live', '--store=live-keep', '--max-lag=100ms', '--', process.execPath, '-e', app],
      { cwd },
    );
    await running.until(/application is up/);
    const ui = startCli(['ui', '--store=live-keep', '--no-open', '--json'], { cwd });
    const [, url = ''] = await ui.until(/"url":"([^"]+)"/);
    const client = new Client(Number(new URL(url).port));
    await client.enter(url);
    const total = async () => (await client.json<{ total: number }>('/api/store')).total;
    const before = await total();
    const listening = client.ask('/api/events').catch(() => ({ text: '' }));
    for (const [index, word] of ['first', 'second'].entries()) {
      await order(word);
      await expect.poll(total, { timeout: 20_000 }).toBe(before + index + 1);
    }
    // The page holds no lock that the end of the application would wait for, and shows the store when nobody has it.
    await order('end');
    expect((await running.ended).code).toBe(7);
    expect(await total()).toBe(before + 2);
    // News come at most every few seconds.
    await new Promise((resolve) => setTimeout(resolve, 3500));
    ui.process.kill('SIGTERM');
    expect((await ui.ended).code).toBe(0);
    expect((await listening).text).toContain(`"total":${before + 2}`);
  }, 60_000);

  it('says what is wrong', async () => {
    expect((await cli('ui', '--store=nowhere', '--no-open')).stderr).toContain('DK_NO_STORE');
    const port = await cli('ui', '--store=keep', '--no-open', '--port=0.0.0.0:80');
    expect([port.code, port.stderr]).toEqual([2, expect.stringContaining('--listen')]);
  });

  it('warns when other machines reach it', async () => {
    const running = startCli(['ui', '--store=./keep', '--listen=0.0.0.0', '--no-open'], { cwd });
    await running.until(/other machines reach 0\.0\.0\.0/);
    running.process.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
  });
});
