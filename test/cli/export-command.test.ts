/** `export` on the command line: whose rights a file lends comes along only when that is asked for. */
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { cliPlace } from './cli-place.js';
import { jsonLines } from './cli-process.js';

const place = cliPlace(async (directory) => {
  await mkdir(path.join(directory, 'data'));
  await writeFile(path.join(directory, 'data/lends'), 'x');
  await chmod(path.join(directory, 'data/lends'), 0o4755);
});

/** What `ls` shows of the mode of a file, by the real tar or in a directory. */
async function modeIn(format: string, target: string): Promise<string> {
  const from = path.join(place.directory, target);
  if (format === 'dir') return ((await stat(path.join(from, 'lends'))).mode & 0o7777).toString(8);
  const listed = spawnSync('tar', ['-t', '-v', '-f', from, 'lends'], { encoding: 'utf8' }).stdout;
  return listed.startsWith('-rws') ? '4755' : '755';
}

it.each(['tar', 'dir'])('--format=%s has setuid bits with --setuid alone', async (format) => {
  await place.run('capture', '--state-dir=data', '--store=keep');
  const words = ['export', '--store=keep', `--format=${format}`];
  const plain = await place.run(...words, 'plain');
  expect(plain).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^without setuid.*: 1 file \(--setuid keeps/m),
  });
  expect(await modeIn(format, 'plain')).toBe('755');
  const asked = await place.run(...words, '--setuid', '--json', 'asked');
  // Of a directory only root may say whose its files are.
  const kept = format === 'tar' || process.getuid?.() === 0;
  expect(jsonLines(asked.stdout)).toMatchObject([{ type: 'export', identityDropped: kept ? 0 : 1, leftOut: [] }]);
  expect(await modeIn(format, 'asked')).toBe(kept ? '4755' : '755');
});
