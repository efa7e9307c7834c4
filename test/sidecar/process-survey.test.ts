/** What a look at all processes sees and what it costs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadProcessCalls, type ProcessCalls } from '../../src/engine/load.js';
import { leaderOf, MARK_VARIABLE } from '../../src/sidecar/proc.js';
import { surveyProcesses } from '../../src/sidecar/survey.js';

/** What the addon says of a process. */
function rowOf(pid: number): number[] | undefined {
  const { listProcesses } = loadProcessCalls() as ProcessCalls;
  const table = new Float64Array(6 * (2 * (listProcesses(new Float64Array(0)) ?? 0) + 64));
  const count = listProcesses(table) ?? 0;
  for (let at = 0; at < 6 * count; at += 6) if (table[at] === pid) return [...table.subarray(at, at + 6)];
  return undefined;
}

describe.runIf(process.platform === 'linux')('a look at all processes', () => {
  it('finds the mark behind a long environment', async () => {
    const mark = `survey-test-${process.pid}`;
    const env = { PATH: process.env.PATH, FILLER: 'x'.repeat(120_000), [MARK_VARIABLE]: mark };
    const child = spawn('sleep', ['60'], { env, stdio: 'ignore' });
    try {
      await once(child, 'spawn');
      const pid = child.pid ?? 0;
      const first = surveyProcesses([], mark);
      expect([...first.members]).toEqual([pid]);
      expect(first.others.has(pid)).toBe(false);
      expect(surveyProcesses([], `${mark}-`).members.size).toBe(0);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });

  it('is not misled by the name of a process, and sees what the text of /proc tells', async () => {
    const base = await mkdtemp(join(tmpdir(), 'dk-survey-'));
    const program = join(base, ') Z 1 2 (3');
    await copyFile('/bin/sleep', program);
    const child = spawn(program, ['60'], { stdio: 'ignore', detached: true });
    try {
      await once(child, 'spawn');
      const pid = child.pid ?? 0;
      const facts = rowOf(pid);
      const line = await readFile(`/proc/${pid}/stat`, 'latin1');
      const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
      expect(line).toContain(') Z 1 2 (3)');
      expect(facts).toEqual([pid, facts?.[1], process.pid, pid, pid, Number(fields[19])]);
      expect('RSD').toContain(String.fromCharCode(facts?.[1] ?? 0));
      expect([...surveyProcesses([leaderOf(pid)], '').members]).toEqual([pid]);
      expect([...surveyProcesses([{ pid, startTicks: 1 }], '').members]).toEqual([]);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
      await rm(base, { recursive: true, force: true });
    }
    expect(rowOf(child.pid ?? 0)).toBeUndefined();
  });

  it('fills no more than it is given, and tells how many there are', () => {
    const { listProcesses } = loadProcessCalls() as ProcessCalls;
    const room = new Float64Array(2 * 6 + 3).fill(-1);
    const count = listProcesses(room) ?? 0;
    expect(count).toBeGreaterThan(1);
    expect([...room.subarray(12)]).toEqual([-1, -1, -1]);
    expect(room[0]).toBeGreaterThan(0);
    expect(() => listProcesses([] as never)).toThrow(TypeError);
  });

  it('takes no memory outside of the heap', () => {
    surveyProcesses([], 'nobody');
    const before = process.memoryUsage().arrayBuffers;
    for (let time = 0; time < 10; time += 1) surveyProcesses([], 'nobody');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(256 << 10);
  });
});
