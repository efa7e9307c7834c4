/** The list of stopped processes: read and written as the file that it is, whatever stands in its place. */
import { spawnSync } from 'node:child_process';
import { lstatSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startChild } from '../../src/sidecar/child.js';
import { leaderOf } from '../../src/sidecar/proc.js';
import { StopList } from '../../src/sidecar/stop-list.js';
import { scratch } from '../cli/cli-process.js';
import { stateOf } from './freeze-ends.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => join(cwd, name);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(() => remove());

it('is not written through a link', async () => {
  const child = await startChild({ command: ['sleep', '60'], ownGroup: true, env: process.env, cwd });
  try {
    writeFileSync(at('victim'), 'as it was');
    symlinkSync('victim', at('stopped-processes'));
    const list = new StopList(cwd);
    list.note(new Set([child.pid]));
    while (lstatSync(at('stopped-processes')).isSymbolicLink()) await sleep(5);
    expect(readFileSync(at('victim'), 'utf8')).toBe('as it was');
    const { startTicks } = leaderOf(child.pid);
    expect(readFileSync(at('stopped-processes'), 'utf8')).toBe(`${child.pid} ${startTicks}\n`);
    child.signal('SIGSTOP');
    while (stateOf(child.pid) !== 'T') await sleep(5);
    expect(new StopList(cwd).resumeLeft()).toBe(1);
    await list.remove();
  } finally {
    child.signal('SIGKILL');
    await child.ended;
  }
});

it('is not read from a link, and a pipe is not waited for', async () => {
  const child = await startChild({ command: ['sleep', '60'], ownGroup: true, env: process.env, cwd });
  try {
    child.signal('SIGSTOP');
    while (stateOf(child.pid) !== 'T') await sleep(5);
    writeFileSync(at('elsewhere'), `${child.pid} ${leaderOf(child.pid).startTicks}\n`);
    symlinkSync('elsewhere', at('stopped-processes'));
    expect(new StopList(cwd).resumeLeft()).toBe(0);
    rmSync(at('stopped-processes'));
    expect(spawnSync('mkfifo', [at('stopped-processes')]).status).toBe(0);
    expect(new StopList(cwd).resumeLeft()).toBe(0);
  } finally {
    child.signal('SIGKILL');
    await child.ended;
  }
}, 10_000);
