/** A small share of what `npm run crash:faults` does. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../scripts/call-faults.mjs', import.meta.url));

it('a system call of LevelDB or of ours that fails is told, and nothing acknowledged is lost', () => {
  const words = [
    '--life=prune',
    '--every=9',
    '--call=openat',
    '--call=fdatasync',
    '--call=pread64',
    '--code=EIO',
    '--code=EMFILE',
  ];
  const run = spawnSync(process.execPath, [script, ...words], { encoding: 'utf8' });
  const output = `${run.stdout}${run.stderr}`;
  expect(output).toMatch(/openat +EMFILE +\d+ positions, told: DK_IO \d+/);
  expect(output).toMatch(/fdatasync +EIO +\d+ positions, told: DK_IO \d+/);
  expect(output).toMatch(/pread64 +EIO +\d+ positions, told: DK_IO \d+/);
  expect(output).toMatch(/\n[2-4]\d lives with a fault, 0 failed/);
  expect(run.status).toBe(0);
}, 180_000);

it('nor is it lost while a pack is condensed, whatever was not synced', () => {
  const words = ['--life=condense', '--call=fsync', '--call=rename', '--code=EIO'];
  const run = spawnSync(process.execPath, [script, ...words], { encoding: 'utf8' });
  const output = `${run.stdout}${run.stderr}`;
  expect(output).toMatch(/fsync +EIO +\d+ positions, told: DK_IO \d+/);
  expect(output).toMatch(/\n[1-4]\d lives with a fault, 0 failed/);
  expect(run.status).toBe(0);
}, 180_000);

it('nor while metadata and packs that are damaged are repaired, which is done in the end', () => {
  const words = ['--life=repair-damaged', '--every=3', '--call=fsync', '--call=rename', '--code=EIO'];
  const run = spawnSync(process.execPath, [script, ...words], { encoding: 'utf8' });
  const output = `${run.stdout}${run.stderr}`;
  expect(output).toMatch(/rename +EIO +\d+ positions, told: DK_IO \d+/);
  expect(output).toMatch(/\n[1-3]\d lives with a fault, 0 failed/);
  expect(run.status).toBe(0);
}, 180_000);

it('nor while a directory is brought back: what is not as it was is told, and the next recover brings it back', () => {
  const words = [
    '--life=recover',
    '--call=pwrite64',
    '--call=renameat',
    '--call=syncfs',
    '--code=EIO',
    '--code=ENOSPC',
  ];
  const run = spawnSync(process.execPath, [script, ...words], { encoding: 'utf8' });
  const output = `${run.stdout}${run.stderr}`;
  expect(output).toMatch(/pwrite64 +EIO +\d+ positions, told: DK_IO \d+/);
  expect(output).toMatch(/renameat +ENOSPC +\d+ positions, told: DK_DISK_FULL \d+/);
  expect(output).toMatch(/\n[1-3]\d lives with a fault, 0 failed/);
  expect(run.status).toBe(0);
}, 180_000);
