import { mkdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { cliPlace } from './cli-place.js';
import { jsonLines, type RunningCli } from './cli-process.js';

const place = cliPlace(async (directory) => {
  await mkdir(path.join(directory, 'data'));
  await writeFile(path.join(directory, 'data', 'a.txt'), 'first');
});
const { run } = place;

/** A served store; port 0 takes a free one. */
async function serve(...words: string[]): Promise<{ readonly cli: RunningCli; readonly port: string }> {
  const cli = place.start('serve', '--store=replica', '--listen=127.0.0.1:0', ...words);
  const [, port = ''] = await cli.until(/serving .* on 127\.0\.0\.1:(\d+)/);
  return { cli, port };
}

describe('serve, push and pull', () => {
  it('bring a store to another one, which can be recovered from meanwhile', async () => {
    await run('capture', '--state-dir=data', '--store=keep');
    const { cli, port } = await serve('--plaintext');
    const url = `tcp://127.0.0.1:${port}`;
    const first = await run('push', '--store=keep', '--plaintext', url, '--json');
    expect(first.code, first.stderr).toBe(0);
    expect(jsonLines(first.stdout)).toMatchObject([{ type: 'push', checkpoints: 1, sequence: 1 }]);
    const again = await run('push', '--store=keep', '--plaintext', url);
    expect(again.stdout).toBe('up to date at #1\n');
    const recovered = await run('recover', '--store=replica', '--state-dir=restored');
    expect(recovered.code, recovered.stderr).toBe(0);
    expect(await readFile(path.join(place.directory, 'restored', 'a.txt'), 'utf8')).toBe('first');
    const pulled = await run('pull', '--store=copy', '--plaintext', url);
    expect(pulled.stdout).toMatch(/^1 checkpoint up to #1: /);
    cli.process.kill('SIGTERM');
    expect((await cli.ended).code).toBe(0);
    const verified = await run('verify', '--store=replica');
    expect(verified.code, verified.stderr).toBe(0);
  });

  it('know peers by the name of their key', async () => {
    await run('capture', '--state-dir=data', '--store=keep');
    const key = (name: string, digit: string): string => `${name}:${digit.repeat(64)}\n`;
    const file = (name: string, text: string) => writeFile(path.join(place.directory, name), text);
    await file('all', `# who may come\n\n${key('alice', 'a')}${key('bob', 'b')}`);
    await file('alice', key('alice', 'a'));
    await file('bob', key('bob', 'b'));
    await file('wrong', key('alice', 'c'));
    await file('bad', 'alice');
    const { port } = await serve('--psk-file=all', '--allow=alice=append', '--allow=bob=read');
    const url = `tls://127.0.0.1:${port}`;
    const push = (name: string) => run('push', '--store=keep', `--psk-file=${name}`, url);
    expect((await push('bob')).stderr).toContain('DK_REFUSED');
    expect((await push('wrong')).stderr).toMatch(/DK_(REFUSED|CONNECTION)/);
    expect(await push('bad')).toMatchObject({ code: 2 });
    // Which of them would it be?
    expect(await push('all')).toMatchObject({ code: 2, stderr: expect.stringContaining('DK_CONFIG') });
    expect((await push('alice')).code).toBe(0);
    expect((await run('pull', '--store=copy', '--psk-file=bob', url)).code).toBe(0);
  });

  it('say what is missing or too much', async () => {
    await run('capture', '--state-dir=data', '--store=keep');
    for (const [words, message] of [
      [['push', '--store=keep', 'tls://127.0.0.1:1'], 'say whom to trust'],
      [['push', '--store=keep', '--plaintext', 'tls://127.0.0.1:1'], 'needs certificates or a key'],
      [['push', '--store=keep', '--plaintext', 'nowhere'], 'expected tls://HOST:PORT'],
      [['push', '--store=keep', '--plaintext', '--psk-file=x', 'tls://127.0.0.1:1'], 'only one of these'],
      [['push', '--store=keep', '--tls-cert=x', 'tls://127.0.0.1:1'], 'all of --tls-cert, --tls-key and --tls-ca'],
      [['push', '--store=keep', '--psk-file=none', 'tls://127.0.0.1:1'], 'cannot read none'],
      [['serve', '--store=replica', '--plaintext', '--listen=9912'], 'allowed: HOST:PORT'],
      [['serve', '--store=replica', '--plaintext', '--allow=bob=all'], 'NAME=read, append or admin'],
      [['--state-dir=data', '--store=keep', '--replicate=tcp://127.0.0.1:1', '--', 'true'], 'say whom to trust'],
    ] as const) {
      const result = await run(...words);
      expect(result.code, words.join(' ')).toBe(2);
      expect(result.stderr).toContain(message);
    }
    const nobody = await run('push', '--store=keep', '--plaintext', 'tcp://127.0.0.1:1', '--json');
    expect(nobody.code).toBe(1);
    expect(jsonLines(nobody.stdout)).toMatchObject([{ type: 'error', code: 'DK_CONNECTION' }]);
  });

  it('take each checkpoint of a run along, and never keep it from ending', async () => {
    const { cli, port } = await serve('--plaintext');
    const words = ['--state-dir=data', '--store=keep', '--plaintext', `--replicate=tcp://127.0.0.1:${port}`];
    const result = await run(
      ...words,
      '--replicate=tcp://127.0.0.1:1',
      '--',
      'sh',
      '-c',
      'echo second > data/b.txt; exit 7',
    );
    expect(result.code, result.stderr).toBe(7);
    cli.process.kill('SIGTERM');
    await cli.ended;
    const listed = await run('cat', '--store=replica', 'b.txt');
    expect(listed.stdout, result.stderr).toBe('second\n');
  });
});
