/** An application that stores through a shared mapping: nothing of it shows in times or events. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { MAPPER } from '../capture/mapper.js';
import { ensureBuilt, type RunningCli, runCli, scratch, startCli } from '../cli/cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
let running: RunningCli;
let orders: FileHandle;

beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
  await mkdir(path.join(cwd, 'data'));
  writeFileSync(path.join(cwd, 'data/db'), Buffer.alloc(65_536));
  expect(spawnSync('mkfifo', [path.join(cwd, 'orders')]).status).toBe(0);
  orders = await open(path.join(cwd, 'orders'), 'r+');
});
afterEach(async () => {
  running.process.kill('SIGTERM');
  await running.ended;
  await orders.close();
  await remove();
});

async function start(consistency: string): Promise<void> {
  // Nothing is captured but what is asked for here, and the end.
  const times = consistency === 'freeze' ? ['--checkpoint-interval=1h'] : ['--max-lag=1h'];
  const words = ['--state-dir=data', '--store=keep', `--consistency=${consistency}`, ...times];
  running = startCli([...words, '--', 'python3', MAPPER, 'orders'], { cwd });
  await order('map data/db');
}

async function order(text: string): Promise<void> {
  const [verb, ...rest] = text.split(' ');
  await orders.write(`${text}\n`);
  await running.until(new RegExp(`did ${[...rest, verb].join(' ')}`));
}

async function content(tag: string | null): Promise<string> {
  if (tag !== null) expect(await runCli(['tag', tag, '--store=keep'], { cwd })).toMatchObject({ code: 0 });
  const { stdout } = await runCli(['cat', '--store=keep', 'db'], { cwd });
  return stdout.replaceAll('\0', '');
}

it.each(['freeze', 'file'])(
  '--consistency=%s keeps all of it, up to its end',
  async (consistency) => {
    await start(consistency);
    await order('store data/db 0 one');
    expect(await content('mapped')).toBe('one');
    await order('store data/db 3 two');
    expect(await content('stored')).toBe('onetwo');
    await order('store data/db 6 three');
    await order('unmap data/db');
    expect(await content('unmapped')).toBe('onetwothree');
    await order('map data/db');
    await order('store data/db 11 four');
    expect(await content('mapped again')).toBe('onetwothreefour');
    await order('store data/db 15 five');
    await orders.write('end\n');
    expect((await running.ended).code).toBe(0);
    expect(await content(null)).toBe('onetwothreefourfive');
  },
  60_000,
);
