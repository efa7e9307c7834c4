/** What the npm package may hold, what it must hold, and what no file in it may say. */
import fs from 'node:fs';
import path from 'node:path';

/** Everything that may be in the package. A new kind of file has to be let in here. */
const ALLOWED = [
  /^package\.json$/,
  /^(README|CHANGELOG|THIRD-PARTY-NOTICES)\.md$/,
  /^(LICENSE|NOTICE)$/,
  /^docs\/([\w-]+\/)*[\w-]+\.(md|svg)$/,
  /^examples\/[\w-]+\.mjs$/,
  /^docs\/images\/[\w-]+\.png$/,
  /^dist\/(esm|cjs)\/package\.json$/,
  /^dist\/(esm|cjs)\/([\w-]+\/)*[\w-]+\.(js|cjs|js\.map|d\.ts|d\.cts)$/,
  /^dist\/cli\/(package\.json|main\.js|(program|recover)-\w{16}\.js)$/,
  /^dist\/man\/diffkeeper\.1$/,
  /^prebuilds\/[a-z0-9]+-[a-z0-9+]+\/diffkeeper(\.glibc|\.musl)?\.node$/,
  /^native\/([\w-]+\/)*[\w-]+\.(cc|h|c|S)$/,
  /^native\/([\w-]+\/)*(README\.md|LICENSE\w*|COPYING)$/,
  /^native\/(exports\.map|sources\.json)$/,
  /^scripts\/(install|build-addon|code-cache)\.mjs$/,
];

/** Needed whatever else changes; the sources of the addon are added from their list. */
const REQUIRED = [
  'package.json',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
  'NOTICE',
  'THIRD-PARTY-NOTICES.md',
  'dist/esm/index.js',
  'dist/esm/index.d.ts',
  'dist/esm/addon.cjs',
  'dist/cli/main.js',
  'dist/cjs/index.js',
  'dist/cjs/index.d.ts',
  'dist/cjs/addon.cjs',
  'dist/cjs/package.json',
  'dist/man/diffkeeper.1',
  'scripts/install.mjs',
  'scripts/build-addon.mjs',
  'scripts/code-cache.mjs',
  'native/sources.json',
  'native/exports.map',
  'native/common/glibc_floor.h',
  'native/zstd/vendor/zstd.h',
  'native/zstd/vendor/LICENSE',
  'native/blake3/vendor/LICENSE_A2',
  'native/xxhash/vendor/LICENSE',
  'native/bzip2/vendor/COPYING',
  'native/node-api/vendor/node_api.h',
  'native/node-api/vendor/LICENSE',
];

/** Sources that `lists` (native/sources.json) names, for every processor. */
function namedSources(lists) {
  return [...lists.own, ...lists.vendor, ...lists.vendorX64, ...lists.vendorArm64];
}

/** Complaints about the names of the files in a package; `prebuilds` must be among them. */
export function nameProblems(names, lists, prebuilds) {
  const present = new Set(names);
  const strangers = names.filter((name) => !ALLOWED.some((pattern) => pattern.test(name)));
  const absent = [...REQUIRED, ...namedSources(lists), ...prebuilds].filter((name) => !present.has(name));
  return [
    ...strangers.map((name) => `${name} does not belong into the package`),
    ...absent.map((name) => `${name} is missing in the package`),
  ];
}

/** Complaints about one file's bytes: folders of the machine that made it (also inside binaries). */
export function byteProblems(name, bytes, folders) {
  return folders
    .filter((folder) => folder.length > 1 && bytes.includes(folder))
    .map((folder) => `${name} names the folder ${folder} of this machine`);
}

/** Paths of all files below a folder, with forward slashes. */
export function filesBelow(folder) {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
    .sort();
}

/** Sum of the sizes of all files below a folder, in bytes. */
export function bytesBelow(folder) {
  return filesBelow(folder).reduce((sum, name) => sum + fs.lstatSync(path.join(folder, name)).size, 0);
}
