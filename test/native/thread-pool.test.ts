/** The pool of native threads by itself: nothing is lost or done twice, waits hold nobody up, few threads are enough. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '../project/source-tree.js';

/** A lost wakeup never ends by itself. */
const CHECK_MS_MAX = 60_000;
const SOURCES = [
  'test/native/thread-pool-check.cc',
  'native/common/thread_pool.cc',
  'native/common/memory_pool.cc',
].map((name) => join(projectRoot, name));

const folder = mkdtempSync(join(tmpdir(), 'dk-pool-'));
const program = join(folder, 'check');

beforeAll(() => {
  const words = ['-std=c++17', '-O1', '-Wall', '-Werror', `-I${join(projectRoot, 'native')}`, ...SOURCES];
  const run = spawnSync(process.env.CXX ?? 'c++', [...words, '-pthread', '-ldl', '-o', program], { encoding: 'utf8' });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each([1, 2])('a pool of at most %i processors', (processors) => {
  it.each([
    ['runs each task once, whoever submits', 'each'],
    ['does what comes while all of its threads wait for the disk', 'waiting'],
    ['has no more threads at work after waits than before', 'bounded'],
    ['begins tasks that wait for the disk at once, a few at a time, however much there is to do', 'disk'],
    ['takes all of it at once', 'stress'],
    ['goes on with the threads that the system gives', 'few'],
    ['says that it has no threads, and tries again', 'none'],
    ['calls a body for each index whatever another call throws', 'throws'],
  ])(
    '%s',
    (_, check) => {
      const options = { encoding: 'utf8', timeout: CHECK_MS_MAX, killSignal: 'SIGKILL' } as const;
      const { stdout, stderr, status } = spawnSync(program, [String(processors), check], options);
      expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
      expect(stdout).toMatch(/^[12] threads, done\n$/);
    },
    CHECK_MS_MAX + 10_000,
  );
});
