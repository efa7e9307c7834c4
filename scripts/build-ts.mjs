/**
 * Builds dist/esm and dist/cjs from src with the TypeScript compiler, both with
 * declarations, so that `import` and `require` get types of their own kind, and
 * bundles the command line's own modules.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { writePageTexts } from './page-texts.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const packageFolder = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
const compiler = join(packageFolder, 'bin', 'tsc');

const builds = [
  { folder: 'esm', type: 'module', options: ['--module', 'nodenext', '--moduleResolution', 'nodenext'] },
  { folder: 'cjs', type: 'commonjs', options: ['--module', 'commonjs', '--moduleResolution', 'bundler'] },
];

await writePageTexts();

for (const { folder, type, options } of builds) {
  const out = join(root, 'dist', folder);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const run = spawnSync(
    process.execPath,
    [compiler, '--project', join(root, 'tsconfig.build.json'), '--outDir', out, ...options],
    { stdio: 'inherit', cwd: root },
  );
  if (run.status !== 0) process.exit(run.status ?? 1);
  for (const name of ['addon.cjs', 'addon.d.cts']) {
    copyFileSync(join(root, 'src', name), join(out, name));
  }
  // Node decides by the nearest package.json whether a .js file is a module.
  writeFileSync(join(out, 'package.json'), `${JSON.stringify({ type, sideEffects: false })}\n`);
}

await bundleProgram();
writeManual();

/**
 * The program as few files instead of some hundred, with the libraries that every command needs: most of its start
 * would be spent on finding and opening them. What only some commands need stays outside and is loaded then.
 */
async function bundleProgram() {
  const folder = join(root, 'dist', 'esm', 'cli');
  const { outputFiles } = await build({
    entryPoints: [join(folder, 'main.js')],
    outdir: folder,
    bundle: true,
    splitting: true,
    minifySyntax: true,
    minifyWhitespace: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: [
      '../addon.cjs',
      '@bokuweb/zstd-wasm',
      'chokidar',
      'cli-progress',
      'cli-table3',
      'hash-wasm',
      'pino',
      'prom-client',
      'zod',
    ],
    // Bundled CommonJS asks for Node's modules by `require`.
    banner: { js: "import{createRequire as dkRequire}from'node:module';const require=dkRequire(import.meta.url);" },
    plugins: [
      { name: 'binding', setup: leaveBinding },
      { name: 'public', setup: resolvePublic },
      { name: 'spawn', setup: loadSpawnLate },
    ],
    write: false,
    allowOverwrite: true,
    logLevel: 'warning',
  });
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  for (const { path, contents } of outputFiles) writeFileSync(path, contents);
  chmodSync(join(folder, 'main.js'), 0o755);
}

/** The manual page, which npm installs beside the program. */
function writeManual() {
  const run = spawnSync(process.execPath, [join(root, 'dist', 'esm', 'cli', 'main.js'), 'manual'], {
    encoding: 'utf8',
    // The page needs no addon, which may not be built yet.
    env: { ...process.env, DIFFKEEPER_ENGINE: 'typescript' },
  });
  if (run.status !== 0) throw new Error(`no manual page: ${run.stderr}`);
  mkdirSync(join(root, 'dist', 'man'), { recursive: true });
  writeFileSync(join(root, 'dist', 'man', 'diffkeeper.1'), run.stdout);
}

/** LevelDB's binary is looked for beside the file that asks for it: that file must stay where it is. */
function leaveBinding({ onResolve }) {
  onResolve({ filter: /^\.\/binding(\.js)?$/ }, ({ importer }) =>
    /[\\/]classic-level[\\/]/.test(importer) ? { path: 'classic-level/binding.js', external: true } : undefined,
  );
}

/**
 * Commands import from the public index alone, which names every module there is: each command would load all of them.
 * So their imports are taken to the modules that the names come from.
 */
function resolvePublic({ onLoad }) {
  const library = join(root, 'dist', 'esm');
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
