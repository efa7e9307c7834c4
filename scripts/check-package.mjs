/**
 * Packs the npm package and uses it as a user would: what is in it, an installation without any compiler, the program,
 * an ESM and a CommonJS program, the types; then the same without the prebuild (TypeScript engine, one warning), and
 * with the addon built from the sources in the package. Builds first. Prints the sizes.
 *
 *   --release   takes the prebuilds that are there, and wants those of every platform a release has
 */
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { byteProblems, bytesBelow, filesBelow, nameProblems } from './package-check/content.mjs';
import { checkRecordAction } from './package-check/record-action.mjs';
import { Sandbox } from './package-check/sandbox.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const parts = path.join(root, 'scripts/package-check');
const CONSUMERS = ['program.mjs', 'consumer.cjs'];
const release = process.argv.includes('--release');
const platforms = release ? ['linux-x64', 'linux-arm64'] : [`${process.platform}-${process.arch}`];
const libraries = release ? ['glibc', 'musl'] : ['glibc'];
const prebuilds = platforms.flatMap((name) => libraries.map((libc) => `prebuilds/${name}/diffkeeper.${libc}.node`));
const box = new Sandbox();
const home = path.join(box.app, 'node_modules/diffkeeper');
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
let rounds = 0;

/** Runs one part and says how long it took. */
async function part(name, work) {
  const started = performance.now();
  await work();
  console.log(`ok  ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

/** Runs a command that must succeed, and returns what it printed. */
function must(command, args, extra) {
  const result = box.run(command, args, extra);
  assert.equal(result.status, 0, `${command} ${args.join(' ')}\n${result.stdout}${result.stderr}`);
  return result;
}

const cli = (...args) => must('node', ['node_modules/.bin/diffkeeper', ...args]);
const count = (text, words) => text.split(words).length - 1;

/** Starting the program takes the compiled code that the installation kept. */
function checkKeptCode() {
  const script = "console.log(require('./node_modules/diffkeeper/dist/cli/main.js').load().script.cachedDataRejected)";
  assert.equal(must('node', ['-e', script]).stdout.trim(), 'false');
}

/** Builds what the package is made of, packs it, and returns the tarball. */
function pack() {
  const inherit = { cwd: root, stdio: 'inherit' };
  execFileSync(process.execPath, ['scripts/build-ts.mjs'], inherit);
  if (!release) execFileSync(process.execPath, ['scripts/prebuild.mjs'], inherit);
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', box.folder];
  const [packed] = JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 }));
  return { file: path.join(box.folder, packed.filename), bytes: packed.size, unpacked: packed.unpackedSize };
}

/** The names in the package and every byte of it. */
function checkContent(tarball) {
  const folder = path.join(box.folder, 'unpacked');
  fs.mkdirSync(folder);
  execFileSync('tar', ['-xzf', tarball, '-C', folder]);
  const names = filesBelow(path.join(folder, 'package'));
  const lists = JSON.parse(fs.readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
  const own = [root, os.homedir()].map((directory) => path.join(directory, path.sep));
  const problems = nameProblems(names, lists, prebuilds);
  for (const name of names)
    problems.push(...byteProblems(name, fs.readFileSync(path.join(folder, 'package', name)), own));
  assert.deepEqual(problems, []);
  fs.rmSync(folder, { recursive: true });
}

/** A capture, a change, a capture; both states come back through the command line. */
function roundTrip() {
  rounds += 1;
  const folder = path.join(box.folder, `round-${rounds}`);
  const state = path.join(folder, 'state');
  const store = `--store=${path.join(folder, 'store')}`;
  fs.mkdirSync(path.join(state, 'deep'), { recursive: true });
  const bytes = randomBytes(300_000);
  const write = () => fs.writeFileSync(path.join(state, 'deep/bytes.bin'), bytes);
  const restored = (name, ...args) => {
    cli('recover', store, `--state-dir=${path.join(folder, name)}`, ...args);
    return fs.readFileSync(path.join(folder, name, 'deep/bytes.bin'));
  };
  write();
  cli('capture', `--state-dir=${state}`, store);
  const before = Buffer.from(bytes);
  bytes.fill(7, 100_000, 100_050);
  write();
  cli('capture', `--state-dir=${state}`, store);
  assert.ok(restored('then', '--at=1').equals(before), 'checkpoint 1 came back changed');
  assert.ok(restored('now').equals(bytes), 'the newest checkpoint came back changed');
  cli('verify', store);
}

/** The command line and both programs with one engine; `warns` when each process must say once that it is not native. */
function useIt(kind, warns) {
  const warning = (result) => assert.equal(count(result.stderr, '[DK_NATIVE_MISSING]'), warns ? 1 : 0, result.stderr);
  assert.match(cli('--version').stdout, /^\S*\d+\.\d+\.\d+/m);
  const engine = cli('engine', '--json');
  warning(engine);
  assert.equal(JSON.parse(engine.stdout).kind, kind);
  roundTrip();
  for (const name of CONSUMERS) {
    fs.copyFileSync(path.join(parts, name), path.join(box.app, name));
    const result = must('node', [name, fs.mkdtempSync(path.join(box.folder, 'program-'))]);
    warning(result);
    assert.equal(JSON.parse(result.stdout).engine, kind);
  }
}

/** Compiles a user's file under the module systems that read `exports`. */
function checkTypes() {
  const tsc = path.join(path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  const cases = [
    { file: 'types.mts', module: 'node16', moduleResolution: 'node16' },
    { file: 'types.cts', module: 'node16', moduleResolution: 'node16' },
    { file: 'types.ts', module: 'esnext', moduleResolution: 'bundler' },
  ];
  for (const { file, ...options } of cases) {
    fs.copyFileSync(path.join(parts, 'types.mts'), path.join(box.app, file));
    // The library check stays on: our declarations must hold by themselves.
    const compilerOptions = { ...options, target: 'es2022', strict: true, noEmit: true, skipLibCheck: false };
    const typeRoots = [path.join(root, 'node_modules/@types')];
    const config = { compilerOptions: { ...compilerOptions, types: ['node'], typeRoots }, files: [file] };
    fs.writeFileSync(path.join(box.app, 'tsconfig.json'), JSON.stringify(config));
    must('node', [tsc, '-p', 'tsconfig.json']);
  }
}

/** What `exports` promises to each module system, and what is there: a linter made for that looks at the tarball. */
async function checkExports(tarball) {
  const { checkPackage, createPackageFromTarballData } = await import('@arethetypeswrong/core');
  const result = await checkPackage(createPackageFromTarballData(fs.readFileSync(tarball)));
  assert.ok(result.types, 'the linter finds no types');
  assert.deepEqual(result.problems, []);
}

/** No prebuild and no compiler: one warning and the TypeScript engine, or an error for who asks for one. */
function checkFallback() {
  fs.rmSync(path.join(home, 'prebuilds'), { recursive: true });
  const rebuild = ['rebuild', 'diffkeeper', '--foreground-scripts'];
  const said = must('npm', rebuild).stderr;
  assert.equal(count(said, 'no native addon'), 1, said);
  useIt('typescript', true);
  const required = { DIFFKEEPER_REQUIRE_NATIVE: '1' };
  assert.notEqual(box.run('npm', rebuild, required).status, 0, 'an installation that requires the addon succeeded');
  const engine = box.run('node', ['node_modules/.bin/diffkeeper', 'engine', '--json'], required);
  assert.equal(engine.status, 1, engine.stderr);
  assert.equal(JSON.parse(engine.stdout).code, 'DK_NATIVE_MISSING');
  const program = box.run('node', ['program.mjs', path.join(box.folder, 'required')], required);
  assert.notEqual(program.status, 0);
  assert.match(program.stderr, /code: 'DK_NATIVE_MISSING'/);
}

/** A compiler on the PATH, but no CMake, make or Python: the addon is built from what the package carries. */
function checkSourceBuild() {
  for (const name of ['cc', 'c++', 'as', 'ld']) box.allow(name);
  const said = must('npm', ['rebuild', 'diffkeeper', '--foreground-scripts']);
  assert.match(said.stdout, /built the native addon from source/);
  useIt('native', false);
  const { path: file } = JSON.parse(cli('engine', '--json').stdout);
  assert.equal(fs.realpathSync(file), fs.realpathSync(path.join(home, 'build/Release/diffkeeper.node')));
}

try {
  let tarball;
  await part('packed', () => {
    tarball = pack();
  });
  await part('the content is what is meant to ship', () => checkContent(tarball.file));
  await part('exports and types agree for every module system', () => checkExports(tarball.file));
  const flags = ['--no-audit', '--no-fund', '--prefer-offline'];
  await part(`installed with nothing but ${box.allowed().join(', ')} on the PATH`, () => {
    fs.writeFileSync(path.join(box.app, 'package.json'), '{"private":true}\n');
    must('npm', ['install', ...flags, tarball.file]);
  });
  await part('compiled code of the program was kept', checkKeptCode);
  const sizes = {
    packed: tarball.bytes,
    unpacked: bytesBelow(home),
    all: bytesBelow(path.join(box.app, 'node_modules')),
  };
  await part('prebuild: command line, ESM, CommonJS', () => useIt('native', false));
  await part('types: node16 (ESM and CommonJS), bundler', checkTypes);
  await part('the record action installs it, records and exports', () =>
    checkRecordAction(root, tarball.file, path.join(box.folder, 'action')),
  );
  await part('no prebuild, no compiler: TypeScript engine, one warning', checkFallback);
  await part('no prebuild, a compiler: built from the package', checkSourceBuild);
  const own = `tarball ${megabytes(sizes.packed)}, installed ${megabytes(sizes.unpacked)}`;
  console.log(`${own}, with its dependencies ${megabytes(sizes.all)}`);
} finally {
  box.remove();
}
