/** An encrypted store on the command line: every command with a key, exit codes without, and `key`. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, jsonLines, runCli, scratch, startCli } from './cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const KEY = ['--store=keep', '--key-file=key'];
const cli = (...words: string[]) => runCli(words, { cwd });

beforeAll(async () => {
  await ensureBuilt();
  ({ directory: cwd, remove } = await scratch());
  await mkdir(path.join(cwd, 'data'));
  await writeFile(path.join(cwd, 'data', 'file'), 'first\n');
  await writeFile(path.join(cwd, 'key'), Buffer.alloc(32, 'k'));
  await writeFile(path.join(cwd, 'pass'), 'a passphrase\n');
  expect((await cli('capture', '--state-dir=data', ...KEY, '--encrypt')).code).toBe(0);
  await writeFile(path.join(cwd, 'data', 'file'), 'second\n');
  expect((await cli('capture', '--state-dir=data', ...KEY)).code).toBe(0);
}, 120_000);
afterAll(() => remove());

describe('an encrypted store', () => {
  it.each([
    ['log'],
    ['log', 'file'],
    ['timeline'],
    ['diff', '1'],
    ['stats'],
    ['verify'],
    ['tag', 'mine'],
    ['repair'],
    ['prune', '--keep-last=3'],
    ['export', 'out.tar'],
    ['migrate'],
  ])('%s works with the key', async (...words) => {
    const result = await cli(...words, ...KEY);
    expect([result.code, result.stderr]).toEqual([0, expect.not.stringContaining('DK_KEY')]);
  });

  it('gives every version back', async () => {
    expect((await cli('cat', 'file', '--at=1', ...KEY)).stdout).toBe('first\n');
    expect((await cli('recover', '--state-dir=back', ...KEY)).code).toBe(0);
    expect(await readFile(path.join(cwd, 'back', 'file'), 'utf8')).toBe('second\n');
    expect((await cli('import', 'back', '--store=copy', '--encrypt', '--key-file=key')).code).toBe(0);
    expect((await cli('cat', 'file', '--store=copy', '--key-file=key')).stdout).toBe('second\n');
  });

  it('says what is missing or wrong, with a code of its own', async () => {
    await writeFile(path.join(cwd, 'other'), Buffer.alloc(32, 'o'));
    const none = await cli('log', '--store=keep');
    expect([none.code, none.stderr]).toEqual([5, expect.stringContaining('--passphrase-file')]);
    const wrong = await cli('log', '--store=keep', '--key-file=other', '--json');
    expect([wrong.code, jsonLines(wrong.stdout)[0]]).toEqual([5, expect.objectContaining({ code: 'DK_KEY_WRONG' })]);
    expect((await cli('log', '--store=keep', '--key-file=missing')).code).toBe(1);
    expect((await cli('log', '--store=keep', '--key-file=key', '--passphrase-file=pass')).code).toBe(2);
    const fresh = await cli('capture', '--state-dir=data', '--store=new', '--key-file=key');
    expect([fresh.code, fresh.stderr]).toEqual([2, expect.stringContaining('--encrypt')]);
    const old = await cli('capture', '--state-dir=data', '--store=v1', '--enable-diff=false', ...KEY.slice(1));
    expect([old.code, old.stderr]).toEqual([2, expect.stringContaining('schema 1')]);
  });

  it('goes to another machine and back, to stores with keys of their own', async () => {
    await writeFile(path.join(cwd, 'theirs'), Buffer.alloc(32, 't'));
    const serving = startCli(
      ['serve', '--store=replica', '--encrypt', '--key-file=theirs', '--listen=127.0.0.1:0', '--plaintext'],
      { cwd },
    );
    try {
      const [, port] = await serving.until(/127\.0\.0\.1:(\d+)/);
      const address = `tcp://127.0.0.1:${port}`;
      expect((await cli('push', ...KEY, '--plaintext', address)).code).toBe(0);
      expect((await cli('push', '--store=keep', '--plaintext', address)).code).toBe(5);
      expect((await cli('pull', '--store=pulled', '--encrypt', '--key-file=key', '--plaintext', address)).code).toBe(0);
    } finally {
      serving.process.kill('SIGTERM');
      await serving.ended;
    }
    for (const store of [
      ['--store=replica', '--key-file=theirs'],
      ['--store=pulled', '--key-file=key'],
    ]) {
      expect((await cli('cat', 'file', '--at=1', ...store)).stdout).toBe('first\n');
      expect((await cli('verify', ...store)).code).toBe(0);
    }
    expect((await cli('log', '--store=replica', '--key-file=key')).code).toBe(5);
  }, 60_000);

  it('lets the application run, without telling it the passphrase', async () => {
    const env = { DIFFKEEPER_PASSPHRASE: 'told by the environment' };
    const options = ['--state-dir=kept', '--store=run', '--encrypt'];
    const script = 'echo "seen: $DIFFKEEPER_PASSPHRASE" > kept/out';
    const ran = await runCli([...options, '--', 'sh', '-c', script], { cwd, env });
    expect(ran.code).toBe(0);
    const result = await runCli(['cat', 'out', '--store=run'], { cwd, env });
    expect(result.stdout).toBe('seen: \n');
    expect((await cli('--state-dir=kept', '--store=run', '--', 'true')).code).toBe(125);
  }, 60_000);
});

describe('key', () => {
  const kinds = (stdout: string): unknown[] => jsonLines(stdout).map((line) => (line as { kind: unknown }).kind);

  it('lists, adds, changes and removes', async () => {
    expect(kinds((await cli('key', 'list', '--store=keep', '--json')).stdout)).toEqual(['key-file']);
    const added = await cli('key', 'add', ...KEY, '--new-passphrase-file=pass', '--json');
    expect(kinds(added.stdout)).toEqual(['key-file', 'passphrase']);
    expect((await cli('log', '--store=keep', '--passphrase-file=pass')).code).toBe(0);
    await writeFile(path.join(cwd, 'fresh'), Buffer.alloc(32, 'f'));
    expect((await cli('key', 'change', ...KEY, '--new-key-file=fresh')).code).toBe(0);
    expect((await cli('log', ...KEY)).code).toBe(5);
    const gone = await cli('key', 'remove', '--store=keep', '--key-file=fresh', '--id=2', '--json');
    expect(kinds(gone.stdout)).toEqual(['key-file']);
    expect((await cli('log', '--store=keep', '--passphrase-file=pass')).code).toBe(5);
    expect((await cli('key', 'change', '--store=keep', '--key-file=fresh', '--new-key-file=key')).code).toBe(0);
  }, 60_000);

  it('rotates the master key, with the keys that are given', async () => {
    const masterKey = (stdout: string): unknown => jsonLines(stdout).find((line) => line.type === 'masterKey');
    const first = await cli('key', 'rotate', ...KEY, '--json');
    expect([first.code, masterKey(first.stdout)]).toEqual([
      0,
      expect.objectContaining({ masterKey: 1, olderKeys: [0] }),
    ]);
    expect((await cli('key', 'add', ...KEY, '--new-passphrase-file=pass')).code).toBe(0);
    const refused = await cli('key', 'rotate', ...KEY);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--drop-others')]);
    const both = await cli('key', 'rotate', ...KEY, '--other-passphrase-file=pass');
    expect([both.code, both.stdout]).toEqual([0, expect.stringContaining('master key 2 from now on')]);
    expect((await cli('log', '--store=keep', '--passphrase-file=pass')).code).toBe(0);
    const replaced = await cli('key', 'rotate', ...KEY, '--new-key-file=fresh', '--drop-others');
    expect([replaced.code, replaced.stderr]).toEqual([0, '']);
    expect((await cli('log', ...KEY)).code).toBe(5);
    expect((await cli('log', '--store=keep', '--passphrase-file=pass')).code).toBe(5);
    const wrong = await cli('key', 'rotate', ...KEY, '--json');
    expect([wrong.code, jsonLines(wrong.stdout)[0]]).toEqual([5, expect.objectContaining({ code: 'DK_KEY_WRONG' })]);
    expect((await cli('key', 'change', '--store=keep', '--key-file=fresh', '--new-key-file=key')).code).toBe(0);
    await writeFile(path.join(cwd, 'data', 'file'), 'third\n');
    expect((await cli('capture', '--state-dir=data', ...KEY)).code).toBe(0);
    expect((await cli('cat', 'file', '--at=1', ...KEY)).stdout).toBe('first\n');
    expect((await cli('verify', ...KEY)).code).toBe(0);
  }, 60_000);

  it.each([
    ['lose', '--new-key-file=key'],
    ['add'],
    ['change'],
    ['remove'],
    ['remove', '--id=x'],
    ['add', '--new-key-file=key', '--new-passphrase-file=pass'],
  ])('%s refuses wrong words', async (...words) => {
    expect((await cli('key', ...words, ...KEY)).code).toBe(2);
  });

  it('asks for the key that opens the store', async () => {
    const result = await cli('key', 'add', '--store=keep', '--new-key-file=key');
    expect([result.code, result.stderr]).toEqual([2, expect.stringContaining('--passphrase-file')]);
  });
});
