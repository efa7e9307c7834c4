/** A link takes the place of the state directory, or of one above it, while the sidecar runs: what it points at is not ours. */
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureBuilt, runCli, scratch, startCli } from '../cli/cli-process.js';
import { asking, expectShownDegraded, expectShownWell } from './shown-health.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(() => remove());

const PLACES = [
  ['the state directory', 'above/data'],
  ['a directory above it', 'above'],
] as const;

describe.each(PLACES)('%s', (_, replaced) => {
  it.each(['file', 'freeze'])(
    'is degraded, and nothing of elsewhere is kept, --consistency=%s',
    async (consistency) => {
      mkdirSync(at('above/data'), { recursive: true });
      const words = [
        '--state-dir=above/data',
        '--store=keep',
        '--max-lag=100ms',
        '--checkpoint-interval=100ms',
        '--debug',
      ];
      const script = `trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done`;
      const running = startCli([...words, `--consistency=${consistency}`, '--', 'sh', '-c', script], { cwd });
      await running.until(/ready/);
      writeFileSync(at('above/data/one'), '1');
      await running.until(/checkpoint \(.*added=[1-9]/);
      const control = asking(at('keep/control.sock'));

      mkdirSync(at('elsewhere/data/below'), { recursive: true });
      for (const name of ['elsewhere/secret', 'elsewhere/data/secret', 'elsewhere/data/below/secret']) {
        writeFileSync(at(name), 'not ours');
      }
      renameSync(at(replaced), at('moved'));
      symlinkSync(at(replaced === 'above' ? 'elsewhere' : 'elsewhere/data'), at(replaced));
      await running.until(/warn: degraded/);
      await expectShownDegraded(control, /symbolic link/);
      writeFileSync(at('elsewhere/data/later'), 'not ours');
      await sleep(500);

      rmSync(at(replaced));
      renameSync(at('moved'), at(replaced));
      writeFileSync(at('above/data/two'), '2');
      await running.until(/no longer degraded/);
      await expectShownWell(control);
      running.process.kill('SIGTERM');
      expect((await running.ended).code).toBe(7);
      const kept = await runCli(['log', '--store=keep', '--json', '--limit=0'], { cwd });
      const numbers = [...kept.stdout.matchAll(/"sequence":(\d+)/g)].map(([, number]) => number);
      expect(numbers.length).toBeGreaterThan(1);
      for (const number of numbers) {
        const back = await runCli(
          ['recover', '--store=keep', `--state-dir=back${number}`, `--at=${number}`, '--dry-run', '--json'],
          { cwd },
        );
        expect(back.stdout).not.toMatch(/secret|later|below/);
      }
      expect((await runCli(['cat', '--store=keep', 'two'], { cwd })).stdout).toBe('2');
      expect(readFileSync(at('elsewhere/data/below/secret'), 'utf8')).toBe('not ours');
    },
    60_000,
  );
});

it('at the very end the last changes are not kept, and the application ends with its own code', async () => {
  const script = 'echo ready; while [ ! -e end ]; do sleep 0.02; done; exit 5';
  const running = startCli(['--state-dir=data', '--store=keep', '--max-lag=100ms', '--', 'sh', '-c', script], { cwd });
  await running.until(/ready/);
  mkdirSync(at('elsewhere'));
  writeFileSync(at('elsewhere/secret'), 'not ours');
  renameSync(at('data'), at('moved'));
  symlinkSync(at('elsewhere'), at('data'));
  writeFileSync(at('end'), '');
  const result = await running.ended;
  expect([result.code, result.stderr]).toEqual([5, expect.stringMatching(/final capture failed/)]);
  expect((await runCli(['cat', '--store=keep', 'secret'], { cwd })).code).not.toBe(0);
}, 60_000);
