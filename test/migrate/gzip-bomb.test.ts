/** What a value decodes to costs no memory: measured from outside, on the built program. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';
import { writeBolt } from './bolt-writer.js';
import { gzipped, OlderStores, sha256Hex } from './older-stores.js';

const BOMB_BYTES = 256 << 20;

const older = new OlderStores();
beforeAll(() => ensureBuilt());

/** Peak memory of an import, in bytes. */
async function peakOf(name: string, content: Buffer): Promise<number> {
  const deltas = new Map([['file', gzipped(content)]]);
  const hashes = new Map([['file', Buffer.from(sha256Hex(content))]]);
  const file = await older.write(`${name}/db.bolt`, writeBolt({ deltas, hashes, meta: new Map() }));
  const program = join(projectRoot, 'dist', 'cli', 'main.js');
  const words = ['-f', '%M', process.execPath, program, 'migrate', `--store=${file}`];
  const { status, stderr, stdout } = spawnSync('/usr/bin/time', words, { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  expect(stdout).toContain('complete: 1 file');
  return Number(stderr.trim().split('\n').at(-1)) * 1024;
}

it('zeros of 256 MiB are imported within a fraction of that', { timeout: 120_000 }, async () => {
  const bomb = await peakOf('bomb', Buffer.alloc(BOMB_BYTES));
  const plain = await peakOf('plain', Buffer.from('a few bytes'));
  expect(bomb - plain).toBeLessThan(BOMB_BYTES / 3);
});
