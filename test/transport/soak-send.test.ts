/** A few kills of either side while files and states are sent; the long version is `npm run soak:send`. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';

beforeAll(ensureBuilt, 120_000);

it('files and states outlive kill -9 of the sender and the receiver, over TLS', async () => {
  const script = fileURLToPath(new URL('../../scripts/soak-send.mjs', import.meta.url));
  const words = [script, '--rounds=9', '--seed=3', '--megabytes=32', '--kill-ms=900'];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => {
      text += piece.toString('utf8');
    });
  }
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(text).toMatch(/9 rounds: \d+ kills of the sender, \d+ of the receiver; [1-9]\d* files arrived, each equal/);
  expect(code).toBe(0);
}, 180_000);
