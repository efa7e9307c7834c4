/** Completions in the real shells, and the manual page in the real formatter. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMAND_TABLE } from '../../src/cli/command-table.js';
import { ensureBuilt, runCli, scratch } from './cli-process.js';

let place: Awaited<ReturnType<typeof scratch>>;

beforeAll(async () => {
  await ensureBuilt();
  place = await scratch();
});

afterAll(() => place.remove());

/** The script for a shell, in a file. */
async function scriptFor(shell: string): Promise<string> {
  const { stdout, code } = await runCli(['completion', shell], { cwd: place.directory });
  expect(code).toBe(0);
  const file = path.join(place.directory, `_diffkeeper-${shell}`);
  writeFileSync(file, stdout);
  return file;
}

function run(program: string, args: readonly string[], input?: string): string {
  const { stdout, stderr, status, error } = spawnSync(program, args, { encoding: 'utf8', input });
  expect({ error, stderr, status }).toEqual({ error: undefined, stderr: '', status: 0 });
  return stdout;
}

/** What bash offers for words of which the last is being typed. */
async function inBash(...words: string[]): Promise<string[]> {
  const list = words.map((word) => `'${word}'`).join(' ');
  const file = await scriptFor('bash');
  const text = `compopt() { :; }; source '${file}'; COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _diffkeeper; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return run('bash', ['-c', text]).split('\n').filter(Boolean).sort();
}

describe('bash', () => {
  it('completes commands, flags of the command, and values', async () => {
    const begun = COMMAND_TABLE.map(({ name }) => name).filter((name) => name.startsWith('re'));
    expect(await inBash('diffkeeper', 're')).toEqual(begun.sort());
    expect(await inBash('diffkeeper', 'verify', '--rea')).toEqual(['--read-data']);
    expect(await inBash('diffkeeper', '--consistency', '=', 'fr')).toEqual(['freeze']);
    expect(await inBash('diffkeeper', '--state-d')).toEqual(['--state-dir=']);
  });

  it('leaves what follows "--" to the command', async () => {
    expect(await inBash('diffkeeper', '--', 'ech')).toContain('echo');
  });
});

describe('zsh', () => {
  it('takes the script and knows every command', async () => {
    const file = await scriptFor('zsh');
    run('zsh', ['-n', file]);
    const text = `autoload -Uz compinit; compinit -D; source '${file}'; print -r -- $_comps[diffkeeper]`;
    expect(run('zsh', ['-fc', text]).trim()).toBe('_diffkeeper');
  });
});

describe('fish', () => {
  it('completes commands, flags and values', async () => {
    const file = await scriptFor('fish');
    const offered = (line: string): string[] =>
      run('fish', ['--no-config', '-c', `source '${file}'; complete -C '${line}'`])
        .split('\n')
        .filter(Boolean)
        .map((row) => row.split('\t')[0] ?? '');
    expect(offered('diffkeeper reco').sort()).toEqual(['record', 'recover']);
    expect(offered('diffkeeper --consistency=')).toEqual(['--consistency=file', '--consistency=freeze']);
    expect(offered('diffkeeper verify --rea')).toContain('--read-data');
  });
});

it('another shell is an error that names the three', async () => {
  const { code, stderr } = await runCli(['completion', 'tcsh'], { cwd: place.directory });
  expect(code).toBe(2);
  expect(stderr).toMatch(/"tcsh".*bash, zsh, fish/);
});

describe('the manual page', () => {
  it('is formatted without a complaint, and has every command with its options', async () => {
    const { stdout: page } = await runCli(['manual'], { cwd: place.directory });
    const text = run('groff', ['-man', '-Tascii', '-ww', '-P-cbou', '-rLL=200n'], page);
    for (const { name } of COMMAND_TABLE) expect(text).toMatch(new RegExp(`diffkeeper ${name} \\[options\\]`));
    expect(text).toMatch(/--state-dir=dir\n +directory that is kept/);
    expect(text).toMatch(/Exit codes: 0 done, 1 failed/);
  });
});
