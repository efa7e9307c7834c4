#!/usr/bin/env node
// Builds build/Release/diffkeeper.node with a C and a C++ compiler and nothing else: no CMake, no Python, no download.
// This is what an installation without a prebuild runs (install.mjs), so it reads only files that the npm package
// carries. Developers use build-native.mjs: it compiles what changed, and can add sanitizers. Both read the lists of
// native/sources.json. As a program it builds and says so; prebuildify may call it in place of node-gyp.
//
// Environment: CC and CXX name the compilers (else cc, gcc, clang and c++, g++, clang++).
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Compilers at work at once; more would need memory that small machines do not have. */
const PARALLEL_MAX = 4;
/** Node-API headers; they are C, and the same for every Node version. */
const NODE_API = 'native/node-api/vendor';

/** The first of these commands that starts; undefined when none does. */
function firstCommand(names) {
  return names.find((name) => name && spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** What keeps this machine from building the addon, as words for people; undefined when nothing does. */
export function whatIsMissing(root) {
  // The addon's own files use Linux system calls (openat2, getdents64).
  if (process.platform !== 'linux') return `the addon has no sources for ${process.platform} yet`;
  const lists = JSON.parse(fs.readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
  const needed = [...lists.own, ...lists.vendor, `${NODE_API}/node_api.h`];
  const absent = needed.find((name) => !fs.existsSync(path.join(root, name)));
  if (absent !== undefined) return `the source ${absent} is not there`;
  if (firstCommand([process.env.CXX, 'c++', 'g++', 'clang++']) === undefined) return 'no C++ compiler was found';
  if (firstCommand([process.env.CC, 'cc', 'gcc', 'clang']) === undefined) return 'no C compiler was found';
  return undefined;
}

/** Files to compile for this processor. */
function sourcesOf(lists) {
  const more = { x64: lists.vendorX64, arm64: lists.vendorArm64 }[process.arch] ?? [];
  return [
    ...lists.own.map((file) => ({ file, own: true })),
    ...[...lists.vendor, ...more].map((file) => ({ file, own: false })),
  ];
}

/** Arguments that turn one source into one object. */
function compileArguments({ file, own }, object, lists, addonApi) {
  const common = ['-c', file, '-o', object, '-O3', '-DNDEBUG', '-fPIC', '-fvisibility=hidden'];
  const defines = lists.definitions.map((definition) => `-D${definition}`);
  if (!own) return [...common, ...defines, '-w', ...(file.endsWith('.c') ? ['-std=gnu11'] : [])];
  const includes = ['-Inative', '-isystem', NODE_API, '-isystem', addonApi, '-include', 'native/common/glibc_floor.h'];
  return [...common, ...defines, '-std=gnu++17', ...includes];
}

/** Runs one command to its end; rejects with what it said when it fails. */
function run(command, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (data) => {
      said += data;
    });
    child.on('error', reject);
    child.on('close', (status, signal) => {
      if (status === 0) resolve();
      else
        reject(
          new Error(`${command} ended with ${status ?? signal}: ${said.trim().split('\n').slice(0, 12).join('\n')}`),
        );
    });
  });
}

/** Takes jobs off one list until it is empty or one fails; the rest is not started then. */
export async function runAll(jobs, width) {
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      try {
        await job();
      } catch (error) {
        queue.length = 0;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: width }, worker));
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
}

/**
 * Builds the addon below `root` and returns its path. The file appears whole or not at all. Throws an Error with the
 * compiler's words.
 */
export async function buildAddon(root) {
  const missing = whatIsMissing(root);
  if (missing !== undefined) throw new Error(missing);
  const lists = JSON.parse(fs.readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
  const cc = firstCommand([process.env.CC, 'cc', 'gcc', 'clang']);
  const cxx = firstCommand([process.env.CXX, 'c++', 'g++', 'clang++']);
  const addonApi = path.dirname(createRequire(path.join(root, 'package.json')).resolve('node-addon-api'));
  const release = path.join(root, 'build/Release');
  fs.mkdirSync(release, { recursive: true });
  const work = fs.mkdtempSync(path.join(root, 'build/objects-'));
  try {
    const sources = sourcesOf(lists);
    const objects = sources.map((_, index) => path.join(work, `${index}.o`));
    const jobs = sources.map(
      (source, index) => () =>
        run(source.own ? cxx : cc, compileArguments(source, objects[index], lists, addonApi), root),
    );
    await runAll(jobs, Math.min(PARALLEL_MAX, os.availableParallelism()));
    const linked = path.join(work, 'diffkeeper.node');
    const flags = ['-shared', '-pthread', '-s', '-Wl,-z,nodelete', '-Wl,--version-script=native/exports.map'];
    await run(cxx, [...flags, '-o', linked, ...objects], root);
    const addon = path.join(release, 'diffkeeper.node');
    fs.renameSync(linked, addon);
    return addon;
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

if (process.argv[1] !== undefined && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
  try {
    const addon = await buildAddon(root);
    console.log(`built ${path.relative(root, addon)} (${fs.statSync(addon).size} bytes)`);
  } catch (error) {
    console.error(`the native build failed: ${error.message}`);
    process.exitCode = 1;
  }
}
