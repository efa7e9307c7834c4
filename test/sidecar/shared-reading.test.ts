/** Looking at a store from other processes while a sidecar, a watch or a capture owns it. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import { openStoreToRead } from '../../src/migrate/migrate.js';
import {
  type CliResult,
  ensureBuilt,
  jsonLines,
  type RunningCli,
  runCli,
  scratch,
  startCli,
} from '../cli/cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
let running: RunningCli | undefined;
const at = (name: string): string => path.join(cwd, name);
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
  opening = [];
});
afterEach(async () => {
  running?.process.kill('SIGTERM');
  await running?.ended;
  running = undefined;
  await remove();
});

/** What opens the store; a store without encryption takes no key. */
let opening: readonly string[] = [];
const cli = (...words: string[]): Promise<CliResult> => runCli([...words, '--store=keep', ...opening], { cwd });

/** Content of all files below a directory, by name. */
async function tree(directory: string): Promise<Record<string, string>> {
  const files = await readdir(at(directory), { recursive: true, withFileTypes: true });
  const plain = files.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  return Object.fromEntries(plain.map((file) => [path.relative(at(directory), file), readFileSync(file, 'latin1')]));
}

/** What every reading command says about the first two checkpoints; times of the run itself left out. */
async function look(name: string): Promise<Record<string, unknown>> {
  const words = [
    ['log', '--json', '--limit=0'],
    ['log', '--json', 'data.txt'],
    ['timeline', '--json', '--limit=0'],
    ['diff', '--json', '1', '2'],
    ['cat', '--at=1', 'data.txt'],
    ['cat', 'data.txt'],
    ['verify', '--json'],
    ['recover', '--json', '--at=1', `--state-dir=${name}`],
    ['export', '--json', '--at=2', '--format=dir', `${name}-export`],
  ];
  const said: Record<string, unknown> = {};
  for (const line of words) {
    const { code, stdout, stderr } = await cli(...line);
    const text = stdout.replaceAll(/"elapsedMs":[\d.]+/g, '').replaceAll(name, 'NAME');
    said[line.join(' ').replaceAll(name, 'NAME')] = { code, text, stderr };
  }
  const stats = jsonLines((await cli('stats', '--packs', '--json')).stdout)[0];
  return {
    ...said,
    stats: { ...stats, metaBytes: 0, storedBytes: 0, factor: 0 },
    recovered: await tree(name),
    exported: await tree(`${name}-export`),
  };
}

async function startState(): Promise<void> {
  await mkdir(at('data/deep'), { recursive: true });
  await writeFile(at('data/data.txt'), 'one');
  await writeFile(at('data/deep/big'), Buffer.alloc(3 << 20, 'big '));
}

describe('while another process owns the store', () => {
  it.each([
    { store: 'plain', settings: [], key: [] },
    { store: 'encrypted', settings: ['--encrypt'], key: ['--key-file=key'] },
    { store: 'of freeze points', settings: ['--consistency=freeze', '--checkpoint-interval=200ms'], key: [] },
  ])(
    'a sidecar, store $store: every command tells what it tells when nobody does',
    async ({ settings, key }) => {
      await startState();
      await writeFile(at('key'), Buffer.alloc(32, 'k'));
      await writeFile(at('next'), 'two');
      opening = key;
      // The application writes: at a freeze point that is what stands still. One call of the system, so that none sees half of it.
      const script = 'until [ -e go ]; do sleep 0.05; done; mv next data/data.txt; exec sleep 60';
      const words = ['--state-dir=data', '--store=keep', ...settings, ...key, '--debug'];
      running = startCli([...words, '--', 'sh', '-c', script], { cwd });
      await running.until(/started sh/);
      await writeFile(at('go'), '');
      await running.until(/checkpoint \(sequence=2/);
      // Takes what is there by now, so that no further checkpoint comes between two commands.
      expect((await cli('tag', 'settled')).code).toBe(0);
      expect(statSync(at('keep/read.sock')).mode & 0o777).toBe(0o600);
      const shared = await look('while');
      expect((await cli('capture', '--state-dir=data')).code).toBe(4);
      expect((await cli('prune', '--keep-last=1')).stderr).toMatch(/DK_STORE_LOCKED/);
      running.process.kill('SIGTERM');
      await running.ended;
      expect(existsSync(at('keep/read.sock'))).toBe(false);
      expect(await look('after')).toEqual(shared);
      expect(shared.recovered).toEqual({ 'data.txt': 'one', 'deep/big': 'big '.repeat(786_432) });
      expect(shared['cat data.txt']).toMatchObject({ code: 0, text: 'two' });
      expect(shared.stats).toMatchObject({ encrypted: key.length > 0 });
    },
    90_000,
  );

  it('a sidecar: a tag is taken by it, with what has changed by then', async () => {
    await startState();
    running = startCli(['--state-dir=data', '--store=keep', '--max-lag=1h', '--debug', '--', 'sleep', '60'], { cwd });
    await running.until(/checkpoint \(sequence=1|took what is/);
    await running.until(/started sleep/);
    await writeFile(at('data/data.txt'), 'tagged');
    let tagged = await cli('tag', 'release 7', '--json');
    // It may be too early: nothing is watched yet.
    for (let turn = 0; turn < 50 && tagged.code !== 0; turn += 1) tagged = await cli('tag', 'release 7', '--json');
    expect(jsonLines(tagged.stdout)[0]).toMatchObject({ tag: 'release 7' });
    const { sequence } = jsonLines(tagged.stdout)[0] as { sequence: number };
    expect((await cli('cat', `--at=${sequence}`, 'data.txt')).stdout).toBe('tagged');
  }, 30_000);

  it('a watch: log, cat and tag work', async () => {
    await startState();
    running = startCli(['watch', '--state-dir=data', '--store=keep', '--json'], { cwd });
    await running.until(/"checkpoint"/);
    expect((await cli('cat', 'data.txt')).stdout).toBe('one');
    await writeFile(at('data/data.txt'), 'tagged');
    expect((await cli('tag', 'now')).code).toBe(0);
    expect((await cli('cat', 'data.txt')).stdout).toBe('tagged');
    expect((await cli('log')).stdout).toMatch(/"now"/);
  }, 30_000);

  it('an owner that is killed in the middle is told: DK_STORE_CLOSED', async () => {
    await startState();
    running = startCli(['watch', '--state-dir=data', '--store=keep', '--json'], { cwd });
    await running.until(/"checkpoint"/);
    const store = await openStoreToRead(at('keep'));
    const [version] = await store.heads(['deep/big']);
    const reader = store.reader(version as never);
    expect((await reader.read(0, 4)).toString()).toBe('big ');
    running.process.kill('SIGKILL');
    await running.ended;
    const failed = await reader.read(1 << 20, 4).catch((error: unknown) => error);
    expect(isDiffKeeperError(failed, 'DK_STORE_CLOSED'), String(failed)).toBe(true);
    await store.close();
    // The abandoned socket is in nobody's way.
    expect((await cli('cat', 'data.txt')).stdout).toBe(await readFile(at('data/data.txt'), 'utf8'));
  }, 30_000);
});
