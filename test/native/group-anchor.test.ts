/** Processes that keep a group from being orphaned: where they are, and that they end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { loadProcessCalls } from '../../src/engine/load.js';
import { processFacts } from '../../src/sidecar/proc.js';
import { stateOf } from '../sidecar/freeze-ends.js';

const calls = loadProcessCalls();
if (!calls) throw new Error('the addon does not load');
const own = processFacts(process.pid);
const MARK = 'DIFFKEEPER_TEST=anchor';

async function gone(pid: number): Promise<void> {
  while (!['', 'Z'].includes(stateOf(pid))) await sleep(5);
}

async function collected(pid: number): Promise<void> {
  while (!calls?.reapProcess(pid)) await sleep(5);
}

it('one is in the group, below one that is in none of ours, and ends with it', async () => {
  const [holder = 0, anchor = 0, ...more] = calls.anchorGroups([own?.group ?? 0], 60, MARK);
  expect(more).toEqual([]);
  expect(processFacts(holder)).toMatchObject({ parent: process.pid, group: holder, session: own?.session });
  expect(processFacts(anchor)).toMatchObject({ parent: holder, group: own?.group, session: own?.session });
  process.kill(holder, 'SIGTERM');
  process.kill(anchor, 'SIGHUP');
  process.kill(anchor, 'SIGTSTP');
  await sleep(50);
  expect([stateOf(holder), stateOf(anchor)]).toEqual(['S', 'S']);
  process.kill(holder, 'SIGKILL');
  await gone(anchor);
  await collected(holder);
});

it('an anchor that ends leaves nothing to be collected, and both end in time', async () => {
  const [holder = 0, anchor = 0] = calls.anchorGroups([own?.group ?? 0], 1, MARK);
  process.kill(anchor, 'SIGKILL');
  while (stateOf(anchor) !== '') await sleep(5);
  await collected(holder);
});

it('nobody is left where no group can be entered', () => {
  expect(calls.anchorGroups([], 60, MARK)).toEqual([]);
  expect(calls.anchorGroups([0x7ffffffe], 60, MARK)).toEqual([]);
  const children = [...Array(50)].map(() => calls.anchorGroups([0x7ffffffe], 60, MARK));
  expect(children.flat()).toEqual([]);
});

it('refuses what is no list of groups', () => {
  const loose = calls.anchorGroups as (...given: unknown[]) => number[];
  expect(() => loose('1', 1, MARK)).toThrow(TypeError);
  expect(() => loose([0], 1, MARK)).toThrow(RangeError);
  expect(() => loose(Array(65).fill(1), 1, MARK)).toThrow(RangeError);
  expect(() => loose([1], 0, MARK)).toThrow(RangeError);
  expect(() => loose([1], 1, 'a\0b')).toThrow(TypeError);
});
