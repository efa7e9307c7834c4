/**
 * Makes dist/cli, the command line, from what the compiler wrote to dist/esm: `main.js`, which loads `program-HASH.js`,
 * the program with the libraries that every command needs in one file.
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
  'cli-progress',
  'cli-table3',
  'hash-wasm',
  'prom-client',
];

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
  const program = await build({
    ...COMMON,
    entryPoints: [join(commands, 'start.js')],
    external: OUTSIDE,
    // What is loaded late is loaded by `require`: code that V8 kept cannot import.
    supported: { 'dynamic-import': false },
    plugins: [
      { name: 'outside', setup: leaveOutside },
      { name: 'public', setup: (hooks) => resolvePublic(library, hooks) },
      { name: 'spawn', setup: loadSpawnLate },
    ],
  });
  const code = program.outputFiles[0].contents;
  const name = `program-${createHash('sha256').update(code).digest('hex').slice(0, 16)}`;
  const main = await build({
    ...COMMON,
    entryPoints: [join(commands, 'main.js')],
    define: { PROGRAM_NAME: JSON.stringify(name) },
  });
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
  writeFileSync(join(place, 'package.json'), `${JSON.stringify({ type: 'commonjs' })}\n`);
  writeFileSync(join(place, `${name}.js`), code);
  writeFileSync(join(place, 'main.js'), main.outputFiles[0].contents);
  chmodSync(join(place, 'main.js'), 0o755);
  for (const kind of ['esm', 'cjs']) rmSync(join(root, 'dist', kind, 'cli'), { recursive: true });
}

/** Binaries are looked for beside the file that asks for them: those files stay where they are. */
function leaveOutside({ onResolve }) {
  onResolve({ filter: /addon\.cjs$/ }, () => ({ path: '../cjs/addon.cjs', external: true }));
  onResolve({ filter: /^\.\/binding(\.js)?$/ }, ({ importer }) =>
    /[\\/]classic-level[\\/]/.test(importer) ? { path: 'classic-level/binding.js', external: true } : undefined,
  );
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
