/**
 * Makes the library that ships from the modules that the compiler wrote: some thirty files instead of four hundred, whose
 * finding, opening and linking took most of the time of an import.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build } from 'esbuild';
import { BUNDLE } from './bundle-options.mjs';

const COMMON = {
  ...BUNDLE,
  packages: 'external',
  sourcemap: 'linked',
  sourcesContent: false,
  chunkNames: 'part-[hash]',
  plugins: [{ name: 'addon', setup: leaveAddon }],
  allowOverwrite: true,
};

/**
 * Replaces index.js below dist/esm and dist/cjs; the modules stay for the program and for tests, and do not ship.
 * @param {string} root of the checkout
 */
export async function bundleLibrary(root) {
  await Promise.all([modules(join(root, 'dist', 'esm')), common(join(root, 'dist', 'cjs'))]);
}

/**
 * Each module that the index names is an entry, so that whatever different sets of them need lies in different files: who
 * bundles the package again still gets only what is used.
 * @param {string} folder
 */
async function modules(folder) {
  const index = join(folder, 'index.js');
  const named = [...readFileSync(index, 'utf8').matchAll(/ from '\.\/([^']+)'/g)].map(([, name]) =>
    join(folder, name ?? ''),
  );
  const { outputFiles, metafile } = await build({
    ...COMMON,
    entryPoints: [index, ...new Set(named)],
    outdir: folder,
    absWorkingDir: folder,
    plugins: [...COMMON.plugins, { name: 'ignore', setup: takeIgnore }],
    splitting: true,
    format: 'esm',
    metafile: true,
  });
  // The other entries were a means; nobody imports them.
  const wanted = new Set(reached(metafile.outputs, 'index.js'));
  for (const { path, contents } of outputFiles) {
    if (wanted.has(path.slice(folder.length + 1).replace(/\.map$/, ''))) writeFileSync(path, contents);
  }
}

/** Files that a file imports, at once or later, and itself. */
function reached(outputs, from, seen = new Set()) {
  if (seen.has(from)) return seen;
  seen.add(from);
  for (const { path, external } of outputs[from].imports) if (!external) reached(outputs, path, seen);
  return seen;
}

/** @param {string} folder */
async function common(folder) {
  const index = join(folder, 'index.js');
  const { outputFiles } = await build({ ...COMMON, entryPoints: [index], outfile: index, format: 'cjs' });
  for (const { path, contents } of outputFiles) writeFileSync(path, contents);
}

/**
 * A package of one long CommonJS file, taken in. Node reads such a file for what it exports before it runs it, when a module
 * imports it, and V8 takes 0.1 s of processor time and more to optimise that reading, beside whatever the process does by then.
 */
function takeIgnore({ onResolve }) {
  onResolve({ filter: /^ignore$/ }, () => ({ path: createRequire(import.meta.url).resolve('ignore') }));
}

/** The addon's loader looks for the package around itself: it stays a file. */
function leaveAddon({ onResolve }) {
  onResolve({ filter: /addon\.cjs$/ }, () => ({ path: './addon.cjs', external: true }));
}
