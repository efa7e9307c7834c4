import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';

beforeAll(ensureBuilt, 120_000);

it('survives kill -9 of either side and cuts of the connection, four times over', async () => {
  const script = fileURLToPath(new URL('../../scripts/soak-replicate.mjs', import.meta.url));
  const words = [script, '--rounds=4', '--seed=3', '--megabytes=8', '--kill-ms=900'];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => {
      text += piece.toString('utf8');
    });
  }
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(text).toMatch(/4 rounds: the replica equals its source/);
  expect(code).toBe(0);
}, 180_000);
