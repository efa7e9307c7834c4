/** Names and tags that would take a terminal over: no command prints them as they are, but where bytes or JSON were asked for. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RECORD } from '../../src/format/format.js';
import { flipRecord } from '../store/flip-record.js';
import { type CliResult, ensureBuilt, jsonLines, runCli, scratch, startCli } from './cli-process.js';

/** ESC, BEL, newline, carriage return, DEL, C1, and what turns the direction of writing or ends a line. */
const EVIL =
  'n\u001b]0;owned\u0007\u001b[31m\n\r\u007f\u009b2J\u061c\u200e\u200f\u2028\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069';
/** Everything but the newline, which ends lines. */
const RAW = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
/** What stands behind the newline in the name: a line that begins so was begun by it. */
const FORGED = /^\ufffd/m;

let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
beforeAll(async () => {
  await ensureBuilt();
  ({ directory: cwd, remove } = await scratch());
  mkdirSync(at(`data/${EVIL}d`), { recursive: true });
  writeFileSync(at(`data/${EVIL}d/${EVIL}`), 'first');
  execFileSync('mkfifo', [at(`data/${EVIL}pipe`)]);
}, 120_000);
afterAll(() => remove());

const cli = (...words: string[]): Promise<CliResult> => runCli(words, { cwd });

/** Neither stream has anything of it; returns all that was said. */
function expectClean({ stdout, stderr }: CliResult): string {
  for (const text of [stdout, stderr]) {
    expect(RAW.exec(text), JSON.stringify(text)).toBeNull();
    expect(text).not.toMatch(FORGED);
  }
  return `${stdout}${stderr}`;
}
const FILE = `${EVIL}d/${EVIL}`;

describe('names and tags', () => {
  it('are shown harmless by every command that names them, and tell people that something was replaced', async () => {
    const first = await cli('capture', '--state-dir=data', '--store=keep', `--tag=${EVIL}tag`);
    expect(first.code).toBe(0);
    expect(expectClean(first)).toContain('left out: n\ufffd]0;owned');
    writeFileSync(at(`data/${FILE}`), 'second, which is longer');
    expectClean(await cli('capture', '--state-dir=data', '--store=keep'));
    const named: string[][] = [
      ['log', '--store=keep'],
      ['timeline', '--store=keep'],
      ['diff', '--store=keep', '1', '2'],
      ['tag', '--store=keep', `${EVIL}other`],
      ['log', '--store=keep', `${EVIL}missing`],
      ['cat', '--store=keep', `${EVIL}missing`],
      ['capture', `--state-dir=${EVIL}missing`, '--store=keep'],
      ['verify', `--store=${EVIL}missing`],
      ['recover', '--store=keep', '--state-dir=back', `--at=${EVIL}`],
      ['capture', '--debug', `--state-dir=${EVIL}missing`, '--store=keep'],
      ['log', `--${EVIL}`],
      [`${EVIL}`],
    ];
    for (const words of named) expect(expectClean(await cli(...words)), words[0]).toContain('n\ufffd]0;owned');
    expectClean(await cli('recover', '--store=keep', '--state-dir=back', `${EVIL}missing`));
    const silent = [
      ['log', '--store=keep', FILE],
      ['verify', '--store=keep'],
      ['stats', '--store=keep', '--packs'],
      ['recover', '--store=keep', '--state-dir=back'],
      ['export', '--store=keep', '--format=dir', `${EVIL}out`],
      ['prune', '--store=keep', '--keep-last=1', '--dry-run'],
    ];
    for (const words of silent) {
      const result = await cli(...words);
      expect(result.code, `${words[0]}: ${result.stderr}`).toBe(0);
      expectClean(result);
    }
  }, 120_000);

  it('are as they are in JSON, and content is what it is', async () => {
    const lines = jsonLines((await cli('diff', '--json', '--store=keep', '1', '2')).stdout);
    expect(lines.map((line) => line.path)).toContain(FILE);
    const [newest] = jsonLines((await cli('log', '--json', '--store=keep')).stdout);
    expect(newest).toMatchObject({ tag: `${EVIL}other` });
    writeFileSync(at('data/content'), EVIL);
    await cli('capture', '--state-dir=data', '--store=keep');
    expect((await cli('cat', '--store=keep', 'content')).stdout).toBe(EVIL);
  }, 60_000);

  it('tags are text in every script', async () => {
    for (const tag of ['café', '日本語']) {
      expect((await cli('tag', '--store=keep', tag)).stdout).toContain(`"${tag}"`);
      expect((await cli('timeline', '--store=keep')).stdout).toContain(`"${tag}"`);
    }
  }, 60_000);

  it('are shown harmless by run and watch, as text and with all that is logged', async () => {
    const words = ['run', '--debug', '--log-format=human', '--state-dir=data', '--store=keep', '--max-lag=100ms'];
    const script = 'sleep 0.5; echo more > data/more; sleep 0.5';
    const ran = await cli(
      ...words,
      `--before-checkpoint=printf '${'\\033[31m\\302\\233hook'}'`,
      '--',
      'sh',
      '-c',
      script,
    );
    expect(ran.code).toBe(0);
    expect(expectClean(ran)).toMatch(/left out of the checkpoints \(path=.*n\ufffd?.*owned/);
    const watching = startCli(['watch', '--state-dir=data', '--store=keep'], { cwd });
    await watching.until(/left out of the checkpoints/);
    watching.process.kill('SIGINT');
    expectClean(await watching.ended);
  }, 60_000);

  it('are shown harmless where they are damaged', async () => {
    for (const [name, kind] of [
      ['blobs', RECORD.blob],
      ['versions', RECORD.versions],
    ] as const) {
      rmSync(at('harmed'), { recursive: true, force: true });
      cpSync(at('keep'), at('harmed'), { recursive: true });
      const pack = readdirSync(at('harmed/packs')).sort()[0] ?? '';
      await flipRecord(at(`harmed/packs/${pack}`), kind, 1);
      const said: string[] = [];
      for (const words of [
        ['verify'],
        ['recover', '--at=1', `--state-dir=back-${name}`],
        ['export', '--at=1', '--format=dir', `out-${name}`],
        ['export', '--at=1', '--format=tar', `out-${name}.tar`],
        ['timeline'],
        ['diff', '1', '2'],
        ['log', FILE],
        ['repair'],
        ['verify'],
      ])
        said.push(expectClean(await cli(...words, '--store=harmed')));
      expect(said.join('\n'), name).toMatch(/(damaged|left out|cannot be read back): n\ufffd\]0;owned/);
    }
  }, 120_000);
});

it('no other file of the program writes to a stream for people', () => {
  const writes = /process\.std(?:out|err)\.write|console\./;
  const directory = new URL('../../src/cli/', import.meta.url);
  const files = readdirSync(directory).filter((name) => writes.test(readFileSync(new URL(name, directory), 'utf8')));
  // Beside these three: static text, bytes and JSON that were asked for.
  const others = ['command-completion.ts', 'command-export.ts', 'command-manual.ts', 'command-migrate.ts'];
  expect(files.sort()).toEqual([...others, 'log-lines.ts', 'output.ts', 'program.ts', 'start.ts'].sort());
});
