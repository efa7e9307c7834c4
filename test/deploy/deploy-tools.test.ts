/** The files under `deploy/`, as the tools that take them see them. `.ci/run` installs the tools; where one is not, its test is skipped. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { projectRoot, readText } from '../project/source-tree.js';

let place = '';
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'dk-deploy-'));
});
afterEach(() => rmSync(place, { recursive: true }));

function run(program: string, ...words: string[]): { readonly status: number | null; readonly text: string } {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8', cwd: projectRoot });
  return { status, text: `${stdout}${stderr}` };
}

const deploy = (name: string): string => join(projectRoot, 'deploy', name);

/** A copy with something wrong in it: the tool must be able to find that. */
function spoilt(name: string, as: string, good: string, bad: string): string {
  const text = readText(`deploy/${name}`);
  expect(text).toContain(good);
  const file = join(place, as);
  writeFileSync(file, text.replace(good, bad));
  return file;
}

function withTool(program: string, word: string, tests: () => void): void {
  const missing = spawnSync(program, [word]).status !== 0;
  if (missing) process.stderr.write(`skipped on this machine: there is no ${program}\n`);
  describe.skipIf(missing)(program, tests);
}

withTool('systemd-analyze', '--version', () => {
  it('finds nothing wrong with the unit', () => {
    // Away from the tree, under a name that is a unit's.
    const unit = join(place, 'diffkeeper@.service');
    copyFileSync(deploy('systemd/diffkeeper@.service'), unit);
    // Units of the machine that it looks at on the way may have faults of their own.
    const said = run('systemd-analyze', 'verify', unit).text.split('\n');
    expect(said.filter((line) => line.includes('diffkeeper'))).toEqual([]);
    const bad = spoilt('systemd/diffkeeper@.service', 'bad@.service', 'KillMode=mixed', 'KillMoed=mixed');
    expect(run('systemd-analyze', 'verify', bad).text).toMatch(/KillMoed/);
  }, 60_000);
});

withTool('promtool', '--version', () => {
  it('takes the alert rules', () => {
    const rules = [...readText('deploy/alerts.yml').matchAll(/^ *- alert:/gm)].length;
    const good = run('promtool', 'check', 'rules', deploy('alerts.yml'));
    expect(good).toEqual({ status: 0, text: expect.stringContaining(`SUCCESS: ${rules} rules found`) });
    const bad = spoilt('alerts.yml', 'bad.yml', 'expr: ', 'expr: sum(( ');
    expect(run('promtool', 'check', 'rules', bad).status).not.toBe(0);
  }, 60_000);
});

withTool('docker-compose', 'version', () => {
  it('takes the compose file, and starts the services that it names', () => {
    const good = run('docker-compose', '-f', deploy('docker/compose.yml'), 'config', '--services');
    expect(good.text.trim().split('\n').sort()).toEqual(['postgres', 'redis']);
    expect(run('docker-compose', '-f', deploy('docker/compose.yml'), 'config', '--quiet')).toEqual({
      status: 0,
      text: '',
    });
    const bad = spoilt('docker/compose.yml', 'compose.yml', 'volumes:', 'volume:');
    expect(run('docker-compose', '-f', bad, 'config', '--quiet').status).not.toBe(0);
  }, 60_000);
});
