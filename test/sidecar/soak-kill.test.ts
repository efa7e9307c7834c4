import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';

beforeAll(ensureBuilt, 120_000);

it('survives kill -9 of the sidecar, with and without the application, three times over', () => {
  const script = fileURLToPath(new URL('../../scripts/soak-kill.mjs', import.meta.url));
  const result = spawnSync(process.execPath, [script, '--rounds=3', '--seed=7'], { encoding: 'utf8' });
  expect(`${result.stdout}${result.stderr}`).toMatch(/3 rounds: every store verified clean/);
  expect(result.status).toBe(0);
}, 180_000);
