// Writes prebuilds/<platform>-<arch>/ for the machine it runs on, and checks which system libraries the result needs.
//
//   --direct   compiles with build-addon.mjs in place of CMake, for build machines whose CMake is too old
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const direct = process.argv.includes('--direct');

function node(...args) {
  execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
}

const prebuildify = createRequire(import.meta.url).resolve('prebuildify/bin.js');
const builder = direct ? './scripts/build-addon.mjs' : './scripts/build-native.mjs';

node('scripts/vendor.mjs');
node(prebuildify, '--napi', '--strip', '--tag-libc', '--name', 'diffkeeper', '--node-gyp', builder);

const folder = path.join(root, 'prebuilds', `${process.platform}-${process.arch}`);
const made = fs.readdirSync(folder).filter((name) => name.endsWith('.node'));
for (const name of made) {
  if (name.endsWith('.glibc.node') && process.platform === 'linux') {
    node('scripts/check-glibc-floor.mjs', path.join(folder, name));
  }
}
// prebuildify moves the file out of build/Release; the tests want it there.
if (!direct) node('scripts/build-native.mjs');
