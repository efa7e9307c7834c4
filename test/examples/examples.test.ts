/** The examples run as they stand, and say what their texts promise. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

beforeAll(() => ensureBuilt(), 180_000);

function linesOf(example: string): string[] {
  const run = spawnSync(process.execPath, [join('examples', example)], { cwd: projectRoot, encoding: 'utf8' });
  expect(run.status, run.stderr).toBe(0);
  return run.stdout.trim().split('\n');
}

it('capture-from-code.mjs: five days, the second one back, two dropped', () => {
  const lines = linesOf('capture-from-code.mjs');
  expect(lines[0]).toMatch(/^checkpoint 1: 2 files new, 0 changed, \d+ bytes stored$/);
  expect(lines[4]).toMatch(/^checkpoint 5: 0 files new, 2 changed, \d+ bytes stored$/);
  expect(lines.slice(5)).toEqual([
    'newest: 5 "day 5"',
    'newest: 4 "day 4"',
    'day 2 is back: 2 files, root verified: true',
    'day 1, day 2',
    'pruned: 2 dropped, 3, 4, 5 kept',
  ]);
});

it('delta-buffers.mjs: a small delta that knows its source', () => {
  const [made = '', ...rest] = linesOf('delta-buffers.mjs');
  const [, bytes] = /^\d+ bytes in a delta of (\d+), made by \w+$/.exec(made) ?? [];
  expect(Number(bytes)).toBeLessThan(300);
  expect(rest).toEqual(['the same again: true', 'applied to other bytes: DK_SOURCE_MISMATCH']);
});

it('custom-sink.mjs: a blob arrives in a place of its own, once', () => {
  expect(linesOf('custom-sink.mjs')).toEqual([
    'thank you for island',
    'arrived: true',
    'sent again: nothing but the offer, 1 map kept',
  ]);
});

it('express-app.mjs: notes are durable when they are answered, and go back', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dk-express-'));
  const app = spawn(process.execPath, [join('examples', 'express-app.mjs'), folder, '0'], { cwd: projectRoot });
  try {
    let said = '';
    app.stderr.on('data', (part: Buffer) => {
      said += part.toString();
    });
    const [line] = (await Promise.race([once(app.stdout, 'data'), once(app, 'exit')])) as [Buffer];
    const base = /^(http:\/\/127\.0\.0\.1:\d+)\/notes/.exec(String(line))?.[1];
    expect(base, said).toBeDefined();
    const ask = async (path: string, body?: object): Promise<unknown> => {
      const headers = { 'content-type': 'application/json' };
      const post = body && { method: 'POST', headers, body: JSON.stringify(body) };
      return (await fetch(`${base}${path}`, post)).json();
    };
    const first = (await ask('/notes', { text: 'one' })) as { checkpoint: number };
    await ask('/notes', { text: 'two' });
    expect(await ask('/notes')).toHaveLength(2);
    const history = (await ask('/history')) as { sequence: number; tag: string }[];
    expect(history[0]).toMatchObject({ tag: 'a note' });
    expect(await ask(`/back/${first.checkpoint}`, {})).toMatchObject({ written: 1 });
    expect(await ask('/notes')).toEqual([{ text: 'one' }]);
    expect(await ask('/back/999', {})).toHaveProperty('error');
    app.kill('SIGTERM');
    const [code] = (await once(app, 'exit')) as [number | null];
    expect(code, said).toBe(0);
  } finally {
    app.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});
