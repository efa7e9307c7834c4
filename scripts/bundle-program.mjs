/**
 * Makes dist/cli, the command line, from what the compiler wrote to dist/esm: `main.js`, which loads `program-HASH.js`,
 * the program with the libraries that every command needs in one file, or `recover-HASH.js`, which has no other command
 * than `recover`: V8 takes in names and scopes of all that is in a file, and somebody waits for this one.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build } from 'esbuild';
import { BUNDLE } from './bundle-options.mjs';

/** Only some commands need these: they stay outside and are loaded then. */
const OUTSIDE = [
  '../cjs/addon.cjs',
  '@bokuweb/zstd-wasm',
  'classic-level/binding.js',
  'classic-level/package.json',
  'cli-progress',
  'cli-table3',
  'hash-wasm',
  'prom-client',
];

/** Commands with a program of their own. */
const ALONE = ['recover'];

const COMMON = { ...BUNDLE, format: 'cjs' };

/**
 * One file is found and opened quicker than some hundred, and V8 can keep the compiled code of a whole file. Parts of it
 * still run only when they are first asked for.
 * @param {string} root of the checkout
 */
export async function bundleProgram(root) {
  const library = join(root, 'dist', 'esm');
  const commands = join(library, 'cli');
  const place = join(root, 'dist', 'cli');
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
  writeFileSync(join(place, 'package.json'), `${JSON.stringify({ type: 'commonjs' })}\n`);
  /** @type {Record<string, string>} */
  const names = {};
  for (const command of [null, ...ALONE]) {
    const code = await programCode(library, command);
    const name = `${command ?? 'program'}-${createHash('sha256').update(code).digest('hex').slice(0, 16)}`;
    names[command ?? ''] = name;
    writeFileSync(join(place, `${name}.js`), code);
  }
  const main = await build({
    ...COMMON,
    entryPoints: [join(commands, 'main.js')],
    define: { PROGRAM_NAMES: JSON.stringify(names) },
  });
  writeFileSync(join(place, 'main.js'), main.outputFiles[0].contents);
  chmodSync(join(place, 'main.js'), 0o755);
  for (const kind of ['esm', 'cjs']) rmSync(join(root, 'dist', kind, 'cli'), { recursive: true });
}

/**
 * The program in one file.
 * @param {string} library
 * @param {string | null} alone the only command in it
 */
async function programCode(library, alone) {
  const { outputFiles } = await build({
    ...COMMON,
    entryPoints: [join(library, 'cli', 'start.js')],
    external: OUTSIDE,
    // What is loaded late is loaded by `require`: code that V8 kept cannot import.
    supported: { 'dynamic-import': false },
    plugins: [
      ...(alone === null ? [] : [{ name: 'alone', setup: (hooks) => leaveOthersOut(alone, hooks) }]),
      { name: 'outside', setup: (hooks) => leaveOutside(library, hooks) },
      { name: 'public', setup: (hooks) => resolvePublic(library, hooks) },
      { name: 'spawn', setup: loadSpawnLate },
    ],
  });
  return outputFiles[0].contents;
}

/** The code of other commands than this one: nothing asks for it in a program that is loaded for this one. */
function leaveOthersOut(alone, { onResolve }) {
  onResolve({ filter: /^\.\/command-[\w-]+\.js$/ }, ({ path, kind }) =>
    kind === 'dynamic-import' && ![`./command-${alone}.js`, './command-runner.js'].includes(path)
      ? { path, external: true }
      : undefined,
  );
}

/**
 * Binaries are looked for by code that is in the program, too: to find and compile files of its own took it longer than to
 * load both binaries. A single file has them inside, and says so by `EMBEDDED`: there the files are asked for that it
 * answers for.
 */
function leaveOutside(library, { onResolve, onLoad }) {
  const addon = join(library, 'addon.cjs');
  onResolve({ filter: /addon\.cjs$/ }, ({ kind }) =>
    kind === 'require-call' ? undefined : { path: 'addon', namespace: 'binary' },
  );
  onResolve({ filter: /^\.\/binding(\.js)?$/ }, ({ importer }) =>
    /[\\/]classic-level[\\/]/.test(importer) ? { path: 'level', namespace: 'binary' } : undefined,
  );
  onLoad({ filter: /^addon$/, namespace: 'binary' }, () => ({
    contents: `module.exports = typeof EMBEDDED === 'boolean' ? require('../cjs/addon.cjs') : require(${JSON.stringify(addon)});`,
    resolveDir: library,
  }));
  onLoad({ filter: /^level$/, namespace: 'binary' }, () => ({
    contents: `module.exports = typeof EMBEDDED === 'boolean'
      ? require('classic-level/binding.js')
      : require('node-gyp-build')(require('node:path').dirname(require.resolve('classic-level/package.json')));`,
    resolveDir: library,
  }));
}

/**
 * Commands import from the public index alone, which names every module there is: each command would load all of them.
 * So their imports are taken to the modules that the names come from.
 */
function resolvePublic(library, { onLoad }) {
  onLoad({ filter: /[\\/]dist[\\/]esm[\\/]cli[\\/].*\.js$/ }, ({ path }) => ({
    contents: readFileSync(path, 'utf8').replace(/import \{([^}]*)\} from '\.\.\/index\.js';/g, (_, names) =>
      namesOf(names)
        .map(({ name, alias }) => {
          const origin = originOf(join(library, 'index.js'), name);
          return `import { ${origin.name} as ${alias} } from '../${relative(library, origin.file)}';`;
        })
        .join(' '),
    ),
    loader: 'js',
  }));
}

/** `a, b as c` of an import or export. */
function namesOf(list) {
  return list.split(',').map((item) => {
    const [name, alias = name] = item.trim().split(' as ');
    return { name, alias };
  });
}

/** The module that makes what another one exports by name, and its name there. */
function originOf(file, wanted) {
  for (const [, names, from] of readFileSync(file, 'utf8').matchAll(/export \{([^}]*)\} from '([^']*)'/g)) {
    const found = namesOf(names).find(({ alias }) => alias === wanted);
    if (found) return originOf(join(dirname(file), from), found.name);
  }
  return { file, name: wanted };
}

/** The parser of the command line loads Node's modules for processes and networks, for a feature that we do not use. */
function loadSpawnLate({ onResolve, onLoad }) {
  onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
    /[\\/]commander[\\/]/.test(importer) ? { path: 'child_process', namespace: 'late' } : undefined,
  );
  onLoad({ filter: /.*/, namespace: 'late' }, () => ({
    contents: "exports.spawn = (...words) => process.getBuiltinModule('node:child_process').spawn(...words);",
    loader: 'js',
  }));
}
