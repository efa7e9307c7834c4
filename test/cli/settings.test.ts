import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPTION_TABLE, type OptionKey, variableOf } from '../../src/cli/option-table.js';
import { resolveSettings, type Settings } from '../../src/cli/settings.js';

const KEYS = Object.keys(OPTION_TABLE) as OptionKey[];
let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dk-settings-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function resolve(flags: Record<string, unknown>, env: NodeJS.ProcessEnv = {}): Promise<Settings> {
  return resolveSettings({ flags, env, keys: KEYS });
}

describe('resolveSettings', () => {
  it('has the defaults of the older system', async () => {
    expect(await resolve({})).toMatchObject({
      stateDir: '/data',
      store: '/deltas/store',
      debug: false,
      enableDiff: true,
      diffLibrary: 'auto',
      chunkSize: 4,
      hashAlgo: 'blake3',
      dedupScope: 'container',
      snapshotInterval: 10,
      maxLag: 400,
      exec: true,
    });
  });

  it('prefers flag, then environment, then file, then default', async () => {
    const config = path.join(directory, 'c.json');
    await writeFile(config, JSON.stringify({ store: 'file', level: 7, 'max-lag': '2s', ignore: ['a', 'b'] }));
    const env = { DIFFKEEPER_CONFIG: config, DIFFKEEPER_STORE: 'env', DIFFKEEPER_LEVEL: '8' };
    const settings = await resolve({ store: 'flag' }, env);
    expect(settings).toMatchObject({ store: 'flag', level: 8, maxLag: 2000, ignore: ['a', 'b'], stateDir: '/data' });
    expect((await resolve({ config, exec: true }, {})).store).toBe('file');
  });

  it('reads every kind from text', async () => {
    const env = {
      DIFFKEEPER_DEBUG: 'yes',
      DIFFKEEPER_CHUNK_SIZE: '2.5',
      DIFFKEEPER_SNAPSHOT_INTERVAL: '64',
      DIFFKEEPER_CHECKPOINT_INTERVAL: '1.5s',
      DIFFKEEPER_MAX_OVERHEAD: '2.5%',
      DIFFKEEPER_IGNORE: '*.tmp,cache/\nlogs',
      DIFFKEEPER_EXEC: 'false',
      DIFFKEEPER_STATE_DIR: '',
    };
    expect(await resolve({}, env)).toMatchObject({
      debug: true,
      chunkSize: 2.5,
      snapshotInterval: 64,
      checkpointInterval: 1500,
      maxOverhead: 2.5,
      ignore: ['*.tmp', 'cache/', 'logs'],
      exec: false,
      stateDir: '/data',
    });
  });

  it.each([
    [
      'DIFFKEEPER_SNAPSHOT_INTERVAL',
      '0',
      /DIFFKEEPER_SNAPSHOT_INTERVAL: got "0"; allowed: a whole number from 1 to 64/,
    ],
    ['DIFFKEEPER_SNAPSHOT_INTERVAL', '2.5', /a whole number/],
    ['DIFFKEEPER_HASH_ALGO', 'md5', /DIFFKEEPER_HASH_ALGO: got "md5"; allowed: blake3, sha256/],
    ['DIFFKEEPER_CHUNK_SIZE', '4MB', /megabytes, from 1 to 1024/],
    ['DIFFKEEPER_MAX_LAG', '5', /from 10ms/],
    ['DIFFKEEPER_MAX_LAG', 'soon', /a time such as 500ms/],
    ['DIFFKEEPER_MAX_OVERHEAD', '0', /percent, such as 5%, from 0.1 to 100/],
    ['DIFFKEEPER_MAX_OVERHEAD', '5% of it', /percent/],
    ['DIFFKEEPER_DEBUG', 'maybe', /true, false/],
    ['DIFFKEEPER_CONSISTENCY', 'strict', /file, freeze/],
    [
      'DIFFKEEPER_CONTROL',
      '0.0.0.0:80',
      /DIFFKEEPER_CONTROL: got "0.0.0.0:80"; allowed: auto, off, unix:PATH, HOST:PORT/,
    ],
    ['DIFFKEEPER_CONTROL', 'on', /DIFFKEEPER_CONTROL: got "on"/],
    ['DIFFKEEPER_METRICS_ADDR', 'here', /DIFFKEEPER_METRICS_ADDR: got "here"; allowed: HOST:PORT, :PORT, unix:PATH/],
    ['DIFFKEEPER_REPLICATE', 'tls://a:1,b', /DIFFKEEPER_REPLICATE: got "b"; allowed: tls:/],
    ['DIFFKEEPER_RETENTION', 'keep-last', /DIFFKEEPER_RETENTION: got "keep-last"; allowed: keep-last, keep-hourly/],
    ['DIFFKEEPER_RETENTION', 'keep-last=3,keep-within=4', /DIFFKEEPER_RETENTION: got "keep-last=3,keep-within=4"/],
    ['DIFFKEEPER_REQUIRE_NATIVE', 'true', /DIFFKEEPER_REQUIRE_NATIVE: got "true"; allowed: 1, 0/],
  ])('refuses %s=%s', async (name, value, message) => {
    await expect(resolve({}, { [name]: value })).rejects.toMatchObject({
      code: 'DK_CONFIG',
      message: expect.stringMatching(message),
    });
  });

  // Every flag of the older system, wrong in each of the three places it can come from.
  it.each<[OptionKey, string, RegExp]>([
    ['stateDir', '', /text that is not empty/],
    ['store', '', /text that is not empty/],
    ['debug', 'perhaps', /true, false/],
    ['enableDiff', 'never', /true, false/],
    ['diffLibrary', 'rsync', /auto, .*zstd/],
    ['chunkSize', '-4', /megabytes, from 1 to 1024/],
    ['hashAlgo', 'crc32', /blake3, sha256/],
    ['dedupScope', 'planet', /container/],
    ['snapshotInterval', '1000', /a whole number from 1 to 64/],
  ])('%s=%j: an error that says where it came from, what came and what is allowed', async (key, value, allowed) => {
    const option = OPTION_TABLE[key];
    const config = path.join(directory, 'bad.json');
    await writeFile(config, JSON.stringify({ [option.flag]: value }));
    const attempts: [string, () => Promise<Settings>][] = [
      [`--${option.flag}`, () => resolve({ [key]: value }, { [variableOf(option)]: 'ignored' })],
      [`${config}: ${option.flag}`, () => resolve({ config })],
    ];
    if (value !== '') attempts.push([variableOf(option), () => resolve({}, { [variableOf(option)]: value })]);
    for (const [origin, attempt] of attempts) {
      const error = await attempt().then(
        () => new Error('it was accepted'),
        (reason: unknown) => reason as Error,
      );
      expect(error).toMatchObject({ code: 'DK_CONFIG', facts: { name: origin, actual: value } });
      expect(error.message).toContain(`${origin}: got "${value}"; allowed: `);
      expect(error.message).toMatch(allowed);
    }
  });

  it('takes every form of addresses and rules', async () => {
    for (const control of ['auto', 'off', 'unix:/run/c.sock', '127.0.0.1:0', 'localhost:80', '[::1]:9912'])
      expect((await resolve({ control })).control).toBe(control);
    for (const metricsAddr of ['unix:m.sock', ':9911', '0.0.0.0:9911', '[::]:9911', 'host.example:1'])
      expect((await resolve({ metricsAddr })).metricsAddr).toBe(metricsAddr);
    for (const retention of ['keep-last=100,keep-daily=7', 'keep-tag=a=b, keep-within=1.5h', 'keep-tag=*'])
      expect((await resolve({ retention })).retention).toBe(retention);
    const replicate = ['tls://backup.example:9912/app', 'tcp://127.0.0.1:1'];
    expect((await resolve({ replicate })).replicate).toEqual(replicate);
  });

  it('names the flag when the flag is wrong', async () => {
    await expect(resolve({ level: '20' })).rejects.toThrow('--level: got "20"; allowed: a whole number from 1 to 19');
  });

  it('says what is not in this release', async () => {
    await expect(resolve({ dedupScope: 'cluster' })).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
    await expect(resolve({ dedupScope: 'cluster' })).rejects.toThrow(/available: container/);
  });

  it.each([
    ['[]', /expected a JSON object/],
    ['{', /JSON/],
    ['{"stor":"x"}', /unknown name "stor"; allowed: state-dir/],
    ['{"level":"high"}', /level: got "high"/],
    ['{"store":5}', /store: got 5/],
  ])('refuses the configuration %s', async (text, message) => {
    const config = path.join(directory, 'c.json');
    await writeFile(config, text);
    await expect(resolve({ config })).rejects.toMatchObject({
      code: 'DK_CONFIG',
      message: expect.stringMatching(message),
    });
  });

  it('has a variable of its own for every option', () => {
    const names = KEYS.map((key) => variableOf(OPTION_TABLE[key]));
    expect(new Set(names).size).toBe(KEYS.length);
    expect(names).toContain('DIFFKEEPER_STATE_DIR');
  });
});
