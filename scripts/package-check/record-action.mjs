/** The GitHub Action that records a flaky test, step by step as a runner takes them, with the packed package. */
import assert from 'node:assert';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const FILE = 'deploy/record-action/action.yml';
/** What is recorded: a file that changes before the test fails. */
const COMMAND = 'echo 1 > out/state; sleep 1; echo 2 > out/state; exit 3';

/** The action as data, by the YAML parser of the distribution. */
function readAction(root) {
  const program = 'import json,sys,yaml; print(json.dumps(yaml.safe_load(sys.stdin)))';
  const input = fs.readFileSync(path.join(root, FILE));
  return JSON.parse(execFileSync('/usr/bin/python3', ['-c', program], { input, encoding: 'utf8' }));
}

/** Nothing that npm says to its children, but where to find the registry. */
function cleanEnvironment() {
  const drop = (name) =>
    /^(npm_|INIT_CWD$|DIFFKEEPER_|NODE_OPTIONS$)/i.test(name) &&
    !/^npm_config_(registry|cache|cafile|userconfig|globalconfig|fetch_)/i.test(name);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !drop(name)));
}

/** Installs the tarball as the action does, records a failing command, and exports what was there before it failed. */
export function checkRecordAction(root, tarball, folder) {
  fs.mkdirSync(path.join(folder, 'temp'), { recursive: true });
  const { inputs, runs } = readAction(root);
  const given = { command: COMMAND, directory: 'out', package: tarball };
  const filled = (text) =>
    text
      .replace(/\$\{\{ inputs\.([\w-]+) \}\}/g, (_, name) => given[name] ?? inputs[name].default)
      .replace(/\$\{\{ runner\.temp \}\}/g, path.join(folder, 'temp'));
  const prefix = path.join(folder, 'global');
  const summary = path.join(folder, 'summary');
  const env = {
    ...cleanEnvironment(),
    npm_config_prefix: prefix,
    npm_config_prefer_offline: 'true',
    PATH: `${path.join(prefix, 'bin')}${path.delimiter}${process.env.PATH}`,
    GITHUB_STEP_SUMMARY: summary,
  };
  const codes = ['Install', 'Run', 'Timeline'].map((wanted) => {
    const step = runs.steps.find(({ name }) => name === wanted);
    const own = Object.entries(step.env).map(([name, value]) => [name, filled(value)]);
    const words = ['-euo', 'pipefail', '-c', step.run];
    const result = spawnSync('bash', words, {
      cwd: folder,
      env: { ...env, ...Object.fromEntries(own) },
      encoding: 'utf8',
    });
    if (wanted === 'Install') assert.equal(result.status, 0, `${result.stdout}${result.stderr}`);
    return result.status;
  });
  assert.deepEqual(codes, [0, 3, 0]);
  const text = fs.readFileSync(summary, 'utf8');
  assert.match(text, /~ state/);
  const typed = /`(diffkeeper export .*)`$/m.exec(text)?.[1] ?? '';
  const states = [1, 2, 3, 4].map((number) => {
    const words = typed.replace('NUMBER', String(number)).replace(/look$/, `look${number}`);
    spawnSync('sh', ['-c', words], { cwd: path.join(folder, 'temp'), env });
    const file = path.join(folder, `temp/look${number}/state`);
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  });
  for (const wanted of ['1\n', '2\n']) assert.ok(states.includes(wanted), `no checkpoint has ${wanted}: ${states}`);
}
