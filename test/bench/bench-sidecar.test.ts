/** The benchmark of the sidecar runs and measures; its figures come from the long version. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';

beforeAll(ensureBuilt, 120_000);

it('measures the lag of changes', () => {
  const script = fileURLToPath(new URL('../../bench/sidecar/run-sidecar.mjs', import.meta.url));
  const result = spawnSync(process.execPath, [script, '--quick', '--only=lag'], { encoding: 'utf8', timeout: 90_000 });
  const line = /^lag: (\{.*\})$/m.exec(result.stdout)?.[1];
  expect(line, result.stderr).toBeDefined();
  const report = JSON.parse(line ?? '{}');
  expect(report['lag at 1,000 changes/s, ms'].count).toBeGreaterThan(400);
  expect(report.peakBytes).toBeGreaterThan(1 << 24);
}, 100_000);
