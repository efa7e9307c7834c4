/**
 * Makes what the single-file executable consists of: the program with all its libraries in one script, the addons and the
 * WebAssembly of zstd as assets beside it, and the few lines that start it.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { BUNDLE } from '../bundle-options.mjs';

/** @typedef {{ name: string, file: string }} Asset */

/**
 * @param {string} root of the checkout, built
 * @returns {Promise<{ code: string, assets: Asset[] }>}
 */
export async function bundleExecutable(root) {
  const require = createRequire(join(root, 'package.json'));
  const levelFolder = dirname(require.resolve('classic-level/package.json'));
  /** @type {Asset[]} */
  const assets = [
    { name: 'diffkeeper.node', file: require('node-gyp-build').resolve(root) },
    { name: 'classic-level.node', file: require('node-gyp-build').resolve(levelFolder) },
    { name: 'zstd.wasm', file: join(dirname(require.resolve('@bokuweb/zstd-wasm')), 'zstd.wasm') },
  ];
  const loader = join(root, 'dist', 'esm', 'embedded', 'embedded.js');
  /** @param {string} name */
  const load = (name) => {
    const file = assets.find((asset) => asset.name === name)?.file ?? '';
    const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
    return `loadEmbedded({ name: '${name}', bytes: new Uint8Array(getRawAsset('${name}')), sha256: '${sha256}' })`;
  };
  const commands = join(root, 'dist', 'cli');
  const program = readdirSync(commands).find((name) => /^program-\w+\.js$/.test(name)) ?? '';
  const imports = `import { loadEmbedded } from ${JSON.stringify(loader)};
const { getRawAsset } = process.getBuiltinModule('node:sea');`;
  const { outputFiles } = await build({
    entryPoints: [join(commands, program)],
    outfile: 'program.cjs',
    ...BUNDLE,
    format: 'cjs',
    legalComments: 'none',
    define: { EMBEDDED: 'true' },
    plugins: [
      {
        name: 'embedded',
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /addon\.cjs$/ }, () => ({ path: 'addon', namespace: 'embedded' }));
          onResolve({ filter: /^classic-level\/binding\.js$/ }, () => ({ path: 'level', namespace: 'embedded' }));
          onResolve({ filter: /^\.\/binding(\.js)?$/ }, ({ importer }) =>
            /[\\/]classic-level[\\/]/.test(importer) ? { path: 'level', namespace: 'embedded' } : undefined,
          );
          onLoad({ filter: /^addon$/, namespace: 'embedded' }, () => ({
            contents: `${imports}
let loaded;
export const loadAddon = () => (loaded ??= { addon: ${load('diffkeeper.node')}, path: process.execPath });`,
            resolveDir: root,
          }));
          onLoad({ filter: /^level$/, namespace: 'embedded' }, () => ({
            contents: `${imports}\nmodule.exports = ${load('classic-level.node')};`.replace(
              /^import \{ loadEmbedded \} from (.*);$/m,
              'const { loadEmbedded } = require($1);',
            ),
            resolveDir: root,
          }));
          onLoad({ filter: /zstd-wasm[\\/]dist[\\/].*index\.node\.js$/ }, ({ path }) => ({
            contents: readFileSync(path, 'utf8').replace(
              /readFile\(resolve\(.*?zstd\.wasm'\)\)/,
              "Buffer.from(process.getBuiltinModule('node:sea').getAsset('zstd.wasm'))",
            ),
          }));
        },
      },
    ],
  });
  return { code: outputFiles[0]?.text ?? '', assets };
}

/**
 * Starts the program, which is an asset, with the compiled code that is another: what Node keeps by itself of the script
 * of an executable lacks all functions that are compiled when they are first called.
 * @param {string} root of the checkout
 */
export function startingScript(root) {
  return bundled(
    root,
    `const { getRawAsset } = process.getBuiltinModule('node:sea');
const asset = (name) => Buffer.from(getRawAsset(name));
const around = { require, file: process.execPath, directory: dirname(process.execPath) };
evaluate(asset('program.js').toString('latin1'), around, asset('program.code')).program.start();`,
  );
}

/**
 * A module for scripts/code-cache.mjs that loads the program as the executable does, the assets from files; `isTaken` of it
 * tells a later process whether V8 takes what was kept.
 * @param {string} root of the checkout
 * @param {{ assets: Asset[], program: string, out: string }} files
 */
export function keepingScript(root, { assets, program, out }) {
  const places = Object.fromEntries(assets.map(({ name, file }) => [name, file]));
  return bundled(
    root,
    `import { readFileSync, writeFileSync } from 'node:fs';
const places = ${JSON.stringify(places)};
const asset = (name) => new Uint8Array(readFileSync(places[name])).buffer;
const builtin = process.getBuiltinModule;
process.getBuiltinModule = (name) => name === 'node:sea' ? { getAsset: asset, getRawAsset: asset } : builtin(name);
const around = { require, file: process.execPath, directory: dirname(process.execPath) };
const evaluated = (kept) => evaluate(readFileSync(${JSON.stringify(program)}, 'latin1'), around, kept);
export function load() {
  const { program, script } = evaluated();
  return { program, keep: () => writeFileSync(${JSON.stringify(out)}, script.createCachedData()) };
}
export const isTaken = () => evaluated(readFileSync(${JSON.stringify(out)})).script.cachedDataRejected === false;`,
  );
}

/** @param {string} root @param {string} contents */
async function bundled(root, contents) {
  const evaluating = join(root, 'src', 'cli', 'program-script.ts');
  const imports = `import { dirname } from 'node:path';\nimport { evaluate } from ${JSON.stringify(evaluating)};\n`;
  const { outputFiles } = await build({
    ...BUNDLE,
    stdin: { contents: imports + contents, resolveDir: root },
    outfile: 'script.cjs',
    format: 'cjs',
  });
  return outputFiles[0]?.text ?? '';
}
