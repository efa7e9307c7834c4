/** What `verify` and `repair` say of the quarantine, and of content that is lost. */
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noise } from '../store/store-fixture.js';
import { ensureBuilt, jsonLines, runCli, scratch } from './cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const cli = (...words: string[]) => runCli(words, { cwd });
const at = (...names: string[]) => path.join(cwd, ...names);
const pack = () => at('keep', 'packs', '00000001.dkp');

beforeEach(async () => {
  await ensureBuilt();
  ({ directory: cwd, remove } = await scratch());
  await mkdir(at('state'));
  await writeFile(at('state', 'file'), noise(30_000, 1));
  expect((await cli('capture', '--state-dir=state', '--store=keep')).code).toBe(0);
}, 120_000);
afterEach(() => remove());

describe('the quarantine', () => {
  it('is not mentioned while it is empty', async () => {
    expect((await cli('verify', '--store=keep')).stderr).not.toContain('quarantine');
    expect((await cli('repair', '--store=keep')).stderr).not.toContain('quarantine');
  });

  it('is told, with what it may be, when the end of a pack went there with the metadata', async () => {
    await writeFile(at('state', 'second'), noise(40_000, 2));
    await cli('capture', '--state-dir=state', '--store=keep');
    truncateSync(pack(), statSync(pack()).size - 10);
    await rm(at('keep', 'meta'), { recursive: true });
    for (const command of ['verify', 'repair']) {
      const { code, stderr } = await cli(command, '--store=keep');
      expect(code).toBe(0);
      expect(stderr).toMatch(/in quarantine, not used and no damage by itself: \d+ entr\S+, \d.* in .*quarantine/);
      expect(stderr).toMatch(/1 entry, \d.*: ends of packs .* may have been a checkpoint/);
    }
    const line = jsonLines((await cli('verify', '--store=keep', '--json')).stdout)[0] as { quarantine: unknown };
    expect(line).toMatchObject({ type: 'verify', damaged: 0, quarantine: { path: at('keep', 'quarantine') } });
    const { items } = line.quarantine as { items: readonly { kind: string; bytes: number }[] };
    expect(items.find(({ kind }) => kind === 'packEnd')?.bytes).toBeGreaterThan(35_000);
  });
});

describe('content that is lost', () => {
  it('is told by repair, stored anew by the next capture, and no cause for another repair', async () => {
    const bytes = readFileSync(pack());
    bytes[1000] = (bytes[1000] as number) ^ 1;
    writeFileSync(pack(), bytes);
    const repaired = await cli('repair', '--store=keep');
    expect(repaired.code).toBe(3);
    expect(repaired.stdout).toContain('1 path whose newest content is lost: the next capture stores it anew');
    const before = await readdir(at('keep', 'quarantine'));
    for (const words of [
      ['cat', 'file'],
      ['recover', '--state-dir=out'],
    ]) {
      const { code, stdout, stderr } = await cli(...words, '--store=keep');
      expect(code).not.toBe(0);
      expect(`${stdout}${stderr}`).toContain('is lost');
      expect(`${stdout}${stderr}`).not.toMatch(/repair|rebuilding/);
    }
    const after = await readdir(at('keep', 'quarantine'));
    expect(after.filter((name) => name !== 'recover.jsonl').sort()).toEqual(before.sort());
    expect((await cli('capture', '--state-dir=state', '--store=keep')).stdout).toContain('checkpoint 2');
    expect((await cli('recover', '--state-dir=out', '--store=keep')).code).toBe(0);
    expect(readFileSync(at('out', 'file')).equals(readFileSync(at('state', 'file')))).toBe(true);
  });
});
