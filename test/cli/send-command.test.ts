import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parseStreams } from '../../src/cli/link-options.js';
import { showPace } from '../../src/cli/progress.js';
import { seededBytes } from '../transport/session-fixture.js';
import { cliPlace } from './cli-place.js';
import { jsonLines, PROGRAM, type RunningCli, startCli } from './cli-process.js';

const MIB = 1 << 20;
const place = cliPlace();
const { run } = place;
const file = (...parts: string[]): string => path.join(place.directory, ...parts);

async function receive(...words: string[]): Promise<{ readonly cli: RunningCli; readonly port: string }> {
  const listen = words.some((word) => word.startsWith('--listen')) ? [] : ['--listen=127.0.0.1:0'];
  const cli = place.start('receive', '--out=out', ...listen, ...words);
  const [, port = ''] = await cli.until(/receiving into out on 127\.0\.0\.1:(\d+)/);
  return { cli, port };
}

describe('send and receive', () => {
  it('bring a file over, under its own or another name', async () => {
    const bytes = seededBytes(3 * MIB, 1);
    await writeFile(file('disk.img'), bytes);
    const { cli, port } = await receive('--plaintext', '--json');
    const plain = await run('send', 'disk.img', '--plaintext', `tcp://127.0.0.1:${port}`);
    expect(plain.code, plain.stderr).toBe(0);
    expect(plain.stdout).toMatch(/^disk\.img: sent 3\.0 MB in /);
    const named = await run(
      'send',
      'disk.img',
      '--plaintext',
      '--streams=2',
      `tcp://127.0.0.1:${port}/a/b.img`,
      '--json',
    );
    expect(jsonLines(named.stdout).at(-1)).toMatchObject({ type: 'sent', name: 'a/b.img', size: 3 * MIB });
    expect((await readFile(file('out', 'disk.img'))).equals(bytes)).toBe(true);
    expect((await readFile(file('out', 'a', 'b.img'))).equals(bytes)).toBe(true);
    cli.process.kill('SIGTERM');
    const { code, stdout } = await cli.ended;
    expect(code).toBe(0);
    expect(jsonLines(stdout).map(({ type }) => type)).toEqual(['listening', 'received', 'received']);
  });

  it('check by what either of them says', async () => {
    const bytes = seededBytes(2 * MIB, 4);
    await writeFile(file('x'), bytes);
    for (const [told, wanted] of [
      ['--digest=blake3', []],
      ['--digest=xxh3', ['--digest=blake3']],
    ] as const) {
      const { cli, port } = await receive('--plaintext', '--once', ...wanted);
      const { code, stderr } = await run('send', 'x', '--plaintext', told, `tcp://127.0.0.1:${port}/y`);
      expect(code, stderr).toBe(0);
      expect((await cli.ended).code).toBe(0);
      expect((await readFile(file('out', 'y'))).equals(bytes)).toBe(true);
    }
    const bad = { code: 2, stderr: expect.stringMatching(/--digest.*allowed: xxh3, blake3/) };
    expect(await run('send', 'x', '--plaintext', '--digest=crc', 'tcp://127.0.0.1:1')).toMatchObject(bad);
    expect(await run('receive', '--out=o', '--plaintext', '--digest=crc')).toMatchObject(bad);
  });

  it('take stdin, and end after one when asked to', async () => {
    const { cli, port } = await receive('--plaintext', '--once');
    const command = [...PROGRAM, 'send', '-', '--plaintext', `tcp://127.0.0.1:${port}/from-stdin`];
    const piped = ['-c', `printf 'some bytes' | "$@"`, 'sh', ...command];
    await promisify(execFile)('sh', piped, { cwd: place.directory });
    expect((await cli.ended).code).toBe(0);
    expect(await readFile(file('out', 'from-stdin'), 'utf8')).toBe('some bytes');
  });

  it('go on when the receiver is killed and started again', async () => {
    const bytes = seededBytes(24 * MIB, 2);
    await writeFile(file('big'), bytes);
    const first = await receive('--plaintext');
    const address = `tcp://127.0.0.1:${first.port}`;
    const sender = startCli(['send', 'big', '--plaintext', '--rate-limit=12', address, '--json'], {
      cwd: place.directory,
    });
    const partial = file('out', '.diffkeeper-partial');
    const received = async (): Promise<number> => {
      const names = await readdir(partial).catch(() => []);
      const journal = names.find((name) => name.endsWith('.have'));
      return journal === undefined ? 0 : (await stat(path.join(partial, journal))).size;
    };
    // Sixteen bytes for each piece of 64 KiB.
    while ((await received()) < (16 * (8 * MIB)) / 65536) await new Promise((resolve) => setTimeout(resolve, 20));
    first.cli.process.kill('SIGKILL');
    await first.cli.ended;
    const second = await receive('--plaintext', `--listen=127.0.0.1:${first.port}`, '--json');
    const { code, stderr, stdout } = await sender.ended;
    expect(code, stderr).toBe(0);
    expect((await readFile(file('out', 'big'))).equals(bytes)).toBe(true);
    expect(jsonLines(stdout).at(-1)).toMatchObject({ type: 'sent', reconnects: 1 });
    second.cli.process.kill('SIGTERM');
    const [, told] = jsonLines((await second.cli.ended).stdout);
    expect(told).toMatchObject({ type: 'received', name: 'big' });
    expect((told as { resumedBytes: number }).resumedBytes).toBeGreaterThanOrEqual(7 * MIB);
  });

  it('say what is wrong, with its exit code', async () => {
    await writeFile(file('x'), 'x');
    await mkdir(file('dir'));
    const { port } = await receive('--plaintext');
    const url = `tcp://127.0.0.1:${port}`;
    expect(await run('send', 'none', '--plaintext', url)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/DK_NOT_FOUND/),
    });
    expect(await run('send', 'x', '--plaintext', `${url}/../up`)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/DK_UNSAFE_PATH/),
    });
    expect(await run('send', 'x', url)).toMatchObject({ code: 2, stderr: expect.stringMatching(/say whom to trust/) });
    expect(await run('send', '-', '--plaintext', url)).toMatchObject({ code: 2 });
    expect(await run('send', 'x', '--plaintext', '--streams=300', url)).toMatchObject({ code: 2 });
    expect(await run('send', 'x', '--plaintext', 'tcp://127.0.0.1:1')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/DK_CONNECTION/),
    });
    expect(await run('receive', '--plaintext')).toMatchObject({ code: 2, stderr: expect.stringMatching(/--out/) });
    expect(await run('receive', '--out=o', '--plaintext', '--listen=0.0.0.0:0')).toMatchObject({ code: 2 });
  });
});

describe('their words', () => {
  it('numbers of streams', () => {
    expect(parseStreams('auto')).toBeUndefined();
    expect(parseStreams('8')).toEqual({ minimum: 8, maximum: 8 });
    expect(parseStreams('4-32')).toEqual({ minimum: 4, maximum: 32 });
    expect(parseStreams('4-32:8')).toEqual({ minimum: 4, maximum: 32, initial: 8 });
    expect(parseStreams('4-32:8:1.5')).toEqual({ minimum: 4, maximum: 32, initial: 8, scaling: 1.5 });
    for (const bad of ['0', '257', '8-4', 'x', '4-8:2', '4-8:9', '4-8:5:1', '4-8:5:17', '4-8:5:x'])
      expect(() => parseStreams(bad)).toThrow(/allowed/);
  });

  it('the pace of the bar', () => {
    expect(showPace(0, 100, 5000)).toBe('');
    expect(showPace(10 * MIB, 20 * MIB, 2000)).toBe(', 5.0 MB/s, 4.0 s left');
  });
});
