/** One life of each real server; the long version is `npm run soak:servers`, its rounds are in docs/servers.md. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';

beforeAll(ensureBuilt, 120_000);

/** Not a synchronous call: the test runner takes a worker for dead that says nothing for a minute. */
function soak(...words: string[]): Promise<{ readonly status: number | string; readonly text: string }> {
  const script = fileURLToPath(new URL('../../scripts/soak-servers.mjs', import.meta.url));
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...words], { timeout: 170_000 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : (error.code ?? 'killed'), text: `${stdout}${stderr}` });
    });
  });
}

describe('killed with its keeper, its files wiped and recovered', () => {
  it.each(['sqlite', 'leveldb', 'redis', 'postgres'])(
    '%s comes up clean with all that was committed',
    async (server) => {
      const { status, text } = await soak('--server', server, '--rounds=1', '--seed=3');
      expect(status, text).toBe(0);
      expect(text).toMatch(new RegExp(`${server}, freeze: 1 rounds, 0 failed`));
    },
    180_000,
  );

  it('and does not when its files are kept one by one: this test can fail', async () => {
    const { status, text } = await soak(
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
