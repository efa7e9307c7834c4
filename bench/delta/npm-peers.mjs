// Packages of npm that make deltas of any bytes, both ways: installed for the benchmark alone, in a folder of its own.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ONE = fileURLToPath(new URL('npm-one.mjs', import.meta.url));
const VERSIONS = { 'bsdiff-node': '2.5.0', 'fossil-delta': '2.0.0' };
const FOLDER = path.join(tmpdir(), 'diffkeeper-delta-table', 'npm-peers');
const MIB = 2 ** 20;

/** The addon of bsdiff-node is built by the node-gyp that npm has with it. */
function buildAddon() {
  const npm = realpathSync(execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim());
  const gyp = path.join(path.dirname(npm), '..', 'node_modules', 'node-gyp', 'bin', 'node-gyp.js');
  const nodeFolder = path.dirname(path.dirname(process.execPath));
  const cwd = path.join(FOLDER, 'node_modules', 'bsdiff-node');
  const headers = existsSync(path.join(nodeFolder, 'include', 'node')) ? [`--nodedir=${nodeFolder}`] : [];
  execFileSync(process.execPath, [gyp, 'rebuild', ...headers], { cwd, stdio: 'ignore' });
}

/** Installs them once. Answers whether a package is there. @param {keyof typeof VERSIONS} name */
function installed(name) {
  const manifest = path.join(FOLDER, 'node_modules', name, 'package.json');
  try {
    if (!existsSync(path.join(FOLDER, 'done'))) {
      mkdirSync(FOLDER, { recursive: true });
      writeFileSync(path.join(FOLDER, 'package.json'), JSON.stringify({ private: true, dependencies: VERSIONS }));
      const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--silent'];
      execFileSync('npm', ['install', ...quiet], { cwd: FOLDER, stdio: 'ignore' });
      buildAddon();
      writeFileSync(path.join(FOLDER, 'done'), '');
    }
    return `npm ${name} ${JSON.parse(readFileSync(manifest, 'utf8')).version}`;
  } catch {
    return 'not installed';
  }
}

/**
 * @param {keyof typeof VERSIONS} name
 * @param {number} mebibytes longest target that it is given
 * @returns {import('./delta-tools.mjs').Peer}
 */
const peer = (name, mebibytes) => ({
  name,
  ours: false,
  bytesMax: mebibytes * MIB,
  diff: ({ source, target, delta }) => [
    { command: process.execPath, args: [ONE, FOLDER, name, 'diff', source, target, delta] },
  ],
  patch: ({ source, delta, result }) => [
    { command: process.execPath, args: [ONE, FOLDER, name, 'patch', source, delta, result] },
  ],
  version: () => installed(name),
});

/** @type {readonly import('./delta-tools.mjs').Peer[]} */
export const NPM_PEERS = [peer('bsdiff-node', 12), peer('fossil-delta', 32)];
