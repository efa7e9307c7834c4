/** The example of the state encoder runs as it stands, and says what its text promises. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

beforeAll(() => ensureBuilt(), 180_000);

describe('examples/vm-state.mjs', () => {
  it('ships eight states, survives a new decoder, and sends little', () => {
    const run = spawnSync(process.execPath, [join('examples', 'vm-state.mjs')], { cwd: projectRoot, encoding: 'utf8' });
    expect(run.status, run.stderr).toBe(0);
    const lines = run.stdout.trim().split('\n');
    expect(lines.filter((line) => line.includes(': delta'))).toHaveLength(7);
    expect(lines).toContainEqual('round 4: the decoder says DK_BASELINE_MISSING');
    const [, bytes] = /arrived in (\d+) bytes; deltas 0\.875, resyncs 1/.exec(run.stdout) ?? [];
    expect(Number(bytes)).toBeLessThan(200_000);
  }, 60_000);
});
