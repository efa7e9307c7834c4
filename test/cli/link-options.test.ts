/** Options of the way to another machine: every command that connects or listens has them. */
import { mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { linkOf } from '../../src/cli/link-options.js';
import { resolveSettings, type Settings } from '../../src/cli/settings.js';
import { seededBytes } from '../transport/session-fixture.js';
import { withAuthorities } from '../transport/tls-fixture.js';
import { cliPlace } from './cli-place.js';

const { keeper, alice } = withAuthorities((make) => {
  const authority = make();
  return { keeper: authority.issue('keeper'), alice: authority.issue('alice') };
});

const place = cliPlace(async (directory) => {
  await mkdir(path.join(directory, 'data'));
  await writeFile(path.join(directory, 'data', 'a.bin'), seededBytes(3 << 20, 1));
  for (const [name, trust] of Object.entries({ keeper, alice })) {
    await writeFile(path.join(directory, `${name}.pem`), trust.certificate);
    await writeFile(path.join(directory, `${name}.key`), trust.key);
    await writeFile(path.join(directory, 'ca.pem'), trust.authority);
  }
});
const { run } = place;
const trusted = (name: string): string[] => [`--tls-cert=${name}.pem`, `--tls-key=${name}.key`, '--tls-ca=ca.pem'];

function settingsOf(flags: Record<string, unknown>, env: NodeJS.ProcessEnv = {}): Promise<Settings> {
  const keys = ['plaintext', 'streams', 'rateLimit', 'serverName'] as const;
  return resolveSettings({ flags: { plaintext: true, ...flags }, env, keys });
}

describe('options of a link', () => {
  it('come from flags, the environment and defaults', async () => {
    expect(await linkOf(await settingsOf({}))).toEqual({ trust: { plaintext: true } });
    const flags = { streams: '4-32:8:1.5', rateLimit: '0.5', serverName: 'here' };
    expect(await linkOf(await settingsOf(flags))).toEqual({
      trust: { plaintext: true },
      streams: { minimum: 4, maximum: 32, initial: 8, scaling: 1.5 },
      rateLimit: 524_288,
      serverName: 'here',
    });
    const env = { DIFFKEEPER_STREAMS: '3', DIFFKEEPER_RATE_LIMIT: '2', DIFFKEEPER_SERVER_NAME: 'there' };
    expect(await linkOf(await settingsOf({}, env))).toMatchObject({
      streams: { minimum: 3, maximum: 3 },
      rateLimit: 2 << 20,
      serverName: 'there',
    });
  });

  it.each([{ streams: 'many' }, { streams: '300' }, { streams: '8-4' }, { rateLimit: '0' }, { rateLimit: 'x' }])(
    'are refused when they are wrong: %j',
    async (flags) => {
      const refused = settingsOf(flags).then(linkOf);
      await expect(refused).rejects.toMatchObject({ code: expect.stringMatching(/^DK_(CONFIG|ARGUMENT)$/) });
    },
  );

  it('reach a listener by the name in its certificate, at the given pace: push, pull and replicas of a run', async () => {
    await run('capture', '--state-dir=data', '--store=keep');
    const words = ['--store=replica', '--listen=127.0.0.1:0', '--streams=2', '--rate-limit=50', ...trusted('keeper')];
    const server = place.start('serve', ...words);
    const [, port = ''] = await server.until(/serving .* on 127\.0\.0\.1:(\d+)/);
    const url = `tls://127.0.0.1:${port}`;
    const push = (...more: string[]) => run('push', '--store=keep', ...trusted('alice'), ...more, url);
    const wrong = await push('--server-name=elsewhere');
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('DK_REFUSED');
    const startMs = performance.now();
    const right = await push('--server-name=keeper', '--rate-limit=2', '--streams=2');
    expect(right.code, right.stderr).toBe(0);
    expect(performance.now() - startMs).toBeGreaterThan(1000);
    const pulled = await run('pull', '--store=copy', ...trusted('alice'), '--server-name=keeper', url);
    expect(pulled.code, pulled.stderr).toBe(0);
    const replicating = ['--state-dir=data', '--store=keep', ...trusted('alice'), `--replicate=${url}`];
    const command = ['--', 'sh', '-c', 'echo more > data/b.txt; sleep 2'];
    const ran = await run(...replicating, '--server-name=keeper', '--streams=1', ...command);
    expect(ran.code, ran.stderr).toBe(0);
    expect((await run('cat', '--store=replica', 'b.txt')).stdout, ran.stderr).toBe('more\n');
  });
});
