/** What a terminal and a program are shown besides the facts: colours, progress, counts that agree. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { run as verify } from '../../src/cli/command-verify.js';
import type { CommandContext } from '../../src/cli/context.js';
import { OPTION_TABLE, type OptionKey } from '../../src/cli/option-table.js';
import { resolveSettings } from '../../src/cli/settings.js';
import { silentLogger } from '../../src/core/core.js';
import { cliPlace } from './cli-place.js';
import { jsonLines, runCli } from './cli-process.js';

const at = (name: string): string => path.join(place.directory, 'data', name);
const place = cliPlace(async (directory) => {
  await mkdir(path.join(directory, 'data', 'd'), { recursive: true });
});
const capture = () => place.run('capture', '--state-dir=data', '--store=keep');

describe('colours of the timeline', () => {
  const drawn = async (env: Record<string, string>): Promise<string> =>
    (await runCli(['timeline', '--store=keep'], { cwd: place.directory, env })).stdout;

  it('come when they are asked for, and no others', async () => {
    await writeFile(at('file'), 'content');
    await capture();
    const coloured = await drawn({ FORCE_COLOR: '1', NO_COLOR: '' });
    expect(coloured).toContain('\u001b[32m    +2\u001b[39m');
    expect(coloured).toContain('\u001b[32m+ file\u001b[39m');
    expect(coloured).toContain('\u001b[31m    -0\u001b[39m');
    const plain = await drawn({ FORCE_COLOR: '', NO_COLOR: '1' });
    expect(plain).not.toContain('\u001b');
    // Nothing else differs.
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(plain);
  });
});

describe('progress for programs', () => {
  afterEach(() => vi.restoreAllMocks());

  it('verify tells how far it is, once in a second', async () => {
    await writeFile(at('file'), 'content');
    await capture();
    const keys = Object.keys(OPTION_TABLE) as OptionKey[];
    const flags = { store: path.join(place.directory, 'keep') };
    const told: Record<string, unknown>[] = [];
    const record = (type: string, facts: object): void => void told.push({ type, ...facts });
    const context: CommandContext = {
      settings: await resolveSettings({ flags, env: {}, keys }),
      words: [],
      local: {},
      command: null,
      output: { json: true, terminal: false, line: () => {}, drawn: () => {}, record, note: () => {} },
      logger: silentLogger,
      signal: new AbortController().signal,
    };
    // Each look at the clock is a second later.
    let nowMs = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => {
      nowMs += 1000;
      return nowMs;
    });
    expect(await verify(context)).toBe(0);
    const progress = told.filter(({ type }) => type === 'progress');
    expect(progress.length).toBeGreaterThan(1);
    for (const { step, doneBytes, totalBytes } of progress) {
      expect(step).toBe('verifying');
      expect(Number(doneBytes)).toBeGreaterThan(0);
      expect(Number(doneBytes)).toBeLessThanOrEqual(Number(totalBytes));
    }
    expect(progress.at(-1)?.doneBytes).toBe(progress.at(-1)?.totalBytes);
    expect(told.at(-1)).toMatchObject({ type: 'verify', damaged: 0 });
    vi.spyOn(performance, 'now').mockReturnValue(nowMs);
    told.length = 0;
    await verify(context);
    expect(told.map(({ type }) => type)).toEqual(['verify']);
  });
});

describe('counts', () => {
  it('of capture, log and timeline agree', async () => {
    for (const name of ['a', 'd/b', 'c']) {
      await writeFile(at(name), `${name}\n`);
      expect((await capture()).stdout).toMatch(name === 'a' ? /\+2 ~0 -0/ : name === 'c' ? /\+1 ~0 -0/ : /\+1 ~1 -0/);
    }
    const logged = [...(await place.run('log', '--store=keep')).stdout.matchAll(/(\d+) written, 0 removed/g)];
    expect(logged.map(([, count]) => Number(count))).toEqual([1, 2, 2]);
    const rows = jsonLines((await place.run('timeline', '--store=keep', '--json')).stdout);
    expect(rows.map(({ added, changed }) => Number(added) + Number(changed))).toEqual([2, 2, 1]);
  });

  it('of log and timeline say what is the state directory itself', async () => {
    await writeFile(at('a'), 'a');
    await capture();
    await chmod(path.join(place.directory, 'data'), 0o700);
    await capture();
    const lines = (await place.run('log', '--store=keep')).stdout.trim().split('\n');
    expect(lines[0]).toContain('0 written, 0 removed, the state directory itself, ');
    expect(lines[1]).toContain('2 written, 0 removed, 1 B');
    const logged = jsonLines((await place.run('log', '--store=keep', '--json')).stdout);
    expect(logged.map(({ changed }) => changed)).toEqual([1, 3]);
    const rows = jsonLines((await place.run('timeline', '--store=keep', '--json')).stdout);
    expect(rows.map(({ added, changed, written }) => [added, changed, written])).toEqual([
      [2, 0, 3],
      [0, 0, 1],
    ]);
    const own = (await place.run('log', '--store=keep', '.')).stdout.trim().split('\n');
    expect(own).toHaveLength(2);
    expect(own[0]).toMatch(/^2 .*directory 0700$/);
    expect((await place.run('log', '--store=keep', '..')).code).toBe(2);
  });

  it('of stats tell files from other entries', async () => {
    await writeFile(at('a'), 'a');
    await writeFile(at('d/b'), 'b');
    await capture();
    expect((await place.run('stats', '--store=keep')).stdout).toMatch(/4 entries, 2 files among them, 2 B/);
    expect(jsonLines((await place.run('stats', '--store=keep', '--json')).stdout)).toMatchObject([{ files: 2 }]);
  });
});

it('verify refuses a share of what is not decoded', async () => {
  await capture();
  const result = await place.run('verify', '--store=keep', '--sample=5%', '--no-read-data');
  expect(result).toMatchObject({ code: 2, stderr: expect.stringMatching(/--sample: .*--no-read-data.*DK_ARGUMENT/) });
  expect((await place.run('verify', '--store=keep', '--sample=5%')).code).toBe(0);
});
