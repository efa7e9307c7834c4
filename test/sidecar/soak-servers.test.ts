/** One life of each real server; the long version is `npm run soak:servers`, its rounds are in docs/servers.md. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';

beforeAll(ensureBuilt, 120_000);

function soak(...words: string[]): { readonly status: number | null; readonly text: string } {
  const script = fileURLToPath(new URL('../../scripts/soak-servers.mjs', import.meta.url));
  const result = spawnSync(process.execPath, [script, ...words], { encoding: 'utf8', timeout: 170_000 });
  return { status: result.status, text: `${result.stdout}${result.stderr}` };
}

describe('killed with its keeper, its files wiped and recovered', () => {
  it.each(['sqlite', 'leveldb', 'redis', 'postgres'])(
    '%s comes up clean with all that was committed',
    (server) => {
      const { status, text } = soak('--server', server, '--rounds=1', '--seed=3');
      expect(status, text).toBe(0);
      expect(text).toMatch(new RegExp(`${server}, freeze: 1 rounds, 0 failed`));
    },
    180_000,
  );

  it('and does not when its files are kept one by one: this test can fail', () => {
    const { status, text } = soak(
      '--server',
      'sqlite',
      '--rounds=8',
      '--consistency=file',
      '--accounts=100000',
      '--expect-failure',
    );
    expect(status, text).toBe(0);
    expect(text).toMatch(/FAILED: /);
  }, 180_000);
});
