import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';

beforeAll(ensureBuilt, 120_000);

it('survives kill -9 of either side and cuts of the connection, four times over', () => {
  const script = fileURLToPath(new URL('../../scripts/soak-replicate.mjs', import.meta.url));
  const words = [script, '--rounds=4', '--seed=3', '--megabytes=8', '--kill-ms=900'];
  const result = spawnSync(process.execPath, words, { encoding: 'utf8' });
  expect(`${result.stdout}${result.stderr}`).toMatch(/4 rounds: the replica equals its source/);
  expect(result.status).toBe(0);
}, 180_000);
