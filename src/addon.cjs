'use strict';
// The one CommonJS source file: `require` and `__dirname` exist here in both
// builds, where import.meta would keep the CommonJS build from compiling.
const { existsSync, readFileSync } = require('node:fs');
const { dirname, join } = require('node:path');

/** Walks up to the folder whose package.json is ours: source tree, dist/esm and dist/cjs differ in depth. */
function packageRoot() {
  for (let folder = __dirname; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'diffkeeper') return folder;
    if (dirname(folder) === folder) throw new Error(`no package.json of diffkeeper above ${__dirname}`);
  }
}

function loadAddon() {
  const load = require('node-gyp-build');
  const root = packageRoot();
  const path = load.resolve(root);
  return { addon: require(path), path };
}

exports.loadAddon = loadAddon;
