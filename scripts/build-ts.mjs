/**
 * Builds dist/esm and dist/cjs from src with the TypeScript compiler, both with
 * declarations, so that `import` and `require` get types of their own kind, and
 * bundles the command line and the library.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleLibrary } from './bundle-library.mjs';
import { bundleProgram } from './bundle-program.mjs';
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

await bundleProgram(root);
await bundleLibrary(root);
writeManual();
keepCode();

/** The manual page, which npm installs beside the program. */
function writeManual() {
  const run = spawnSync(process.execPath, [join(root, 'dist', 'cli', 'main.js'), 'manual'], {
    encoding: 'utf8',
    // The page needs no addon, which may not be built yet.
    env: { ...process.env, DIFFKEEPER_ENGINE: 'typescript' },
  });
  if (run.status !== 0) throw new Error(`no manual page: ${run.stderr}`);
  mkdirSync(join(root, 'dist', 'man'), { recursive: true });
  writeFileSync(join(root, 'dist', 'man', 'diffkeeper.1'), run.stdout);
}

/** What V8 compiled, as the installation of the package keeps it. The addon may not be built yet. */
function keepCode() {
  const run = spawnSync(process.execPath, [join(root, 'scripts', 'code-cache.mjs')], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`no code cache: ${run.stderr}`);
}
