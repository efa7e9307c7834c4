/** What a look at all processes sees and what it costs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { MARK_VARIABLE, surveyProcesses } from '../../src/sidecar/proc.js';

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

  it('takes no memory outside of the heap', () => {
    surveyProcesses([], 'nobody');
    const before = process.memoryUsage().arrayBuffers;
    for (let time = 0; time < 10; time += 1) surveyProcesses([], 'nobody');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(256 << 10);
  });
});
