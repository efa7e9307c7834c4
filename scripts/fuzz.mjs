#!/usr/bin/env node
// Builds the libFuzzer harnesses of the native decoders with ASan and UBSan, and runs them.
//
//   npm run fuzz -- [targets] [--seconds=60] [--merge] [--fresh]
//
// As many compilers and fuzzers run at once as there are processors, at most WIDTH_MAX.
// Targets: names of TARGETS below, separated by commas; all of them without any. Each run starts from the finds kept in
// build/fuzz/corpus-TARGET and the committed test/fuzz-corpus/TARGET; new finds go to the former. --merge writes the
// smallest set of inputs with the same coverage back to test/fuzz-corpus/TARGET, the shortest inputs up to
// CORPUS_BYTES_MAX. --fresh builds the libraries again. Needs clang with its runtime (CLANG names another than the
// newest clang++). A crash leaves its input in build/fuzz and gives exit code 1.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runAll } from './build-addon.mjs';

/** Committed bytes per target: together they stay below 300 KB. */
const CORPUS_BYTES_MAX = 24 << 10;
/** Compilers or fuzzers at work at once: a fuzzer may take 2 GB. */
const WIDTH_MAX = 4;
/** Longest input that the fuzzer makes. */
const INPUT_BYTES_MAX = 8192;

const TARGETS = {
  align: {},
  'align-trip': { harness: 'align', define: '-DDK_FUZZ_TRIP' },
  bsdiff: {},
  vcdiff: {},
  xor: {},
  zstd: {},
  bzip2: {},
  stat: {},
  chain: {},
  dense: {},
  chunk: {},
  window: {},
  sparse: {},
  // Each input is a pair of states of up to 256 KiB, in every test run.
  'sparse-large': { harness: 'sparse_large', corpusBytesMax: 4 << 10 },
  tensor: {},
};
/** Rooms whose code the harnesses reach. */
const ROOMS =
  /^native\/(align|blake3|bsdiff|bzip2|chain|chunk|common|dense|pages|planes|sparse|window|xdelta|xor|xxhash|zstd)\//;
const DEFINES = [
  '-DZSTD_LEGACY_SUPPORT=0',
  '-DZSTD_NO_TRACE=1',
  '-DZSTD_DISABLE_ASM=1',
  '-DBZ_NO_STDIO=1',
  '-DDK_SANITIZED',
  // BLAKE3's vector code is assembly or needs flags of its own: the portable one is enough here.
  '-DBLAKE3_NO_AVX512',
  '-DBLAKE3_NO_AVX2',
  '-DBLAKE3_NO_SSE41',
  '-DBLAKE3_NO_SSE2',
];
const OWN_CHECKS = [
  '-fsanitize=address,undefined,fuzzer-no-link',
  '-fno-sanitize-recover=undefined',
  '-fno-sanitize=vptr',
];

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const out = path.join(root, 'build/fuzz');

function findClang() {
  const versions = Array.from({ length: 12 }, (_, i) => `clang++-${25 - i}`);
  for (const name of [process.env.CLANG, 'clang++', ...versions]) {
    if (name && spawnSync(name, ['--version']).status === 0) return name;
  }
  throw new Error('clang++ is needed: apt-get install clang, or CLANG=name');
}

const width = () => Math.min(WIDTH_MAX, os.availableParallelism());

/** Runs a command, and prints what it said when it is over: others run beside it. True when it ended well. */
function run(command, args, { quiet = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(data));
    child.on('error', reject);
    child.on('close', (status) => {
      if (!quiet) process.stderr.write(Buffer.concat(said));
      resolve(status === 0);
    });
  });
}

async function must(command, args) {
  if (!(await run(command, args))) throw new Error(`${command} failed, as said above`);
}

const objectOf = (name) => path.join(out, `${name.replaceAll('/', '_')}.o`);
const changedAt = (name) => fs.statSync(name).mtimeMs;
const changedSince = (name, object) => !fs.existsSync(object) || changedAt(object) < changedAt(name);

/** Newest change of any own header: objects older than that are made again. */
function newestHeader() {
  const headers = fs
    .readdirSync(path.join(root, 'native'), { recursive: true })
    .filter((name) => /^[^v].*\.h$/.test(name));
  return Math.max(...headers.map((name) => fs.statSync(path.join(root, 'native', name)).mtimeMs));
}

/** One archive of everything that a harness may reach; each takes what it needs. */
async function buildLibrary(clang) {
  const { own, vendor, vendorX64 } = JSON.parse(fs.readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
  const x64 = process.arch === 'x64' ? vendorX64.filter((name) => name.endsWith('.c')) : [];
  const foreign = [...vendor, ...x64].filter((name) => ROOMS.test(name));
  const ours = own.filter((name) => ROOMS.test(name) && !/glibc_floor|blake3_xof/.test(name));
  const headers = newestHeader();
  const compile = (name, args) =>
    must(clang, [...args, ...DEFINES, '-O1', '-g', '-Inative', '-c', name, '-o', objectOf(name)]);
  const stale = [
    ...foreign
      .filter((name) => changedSince(path.join(root, name), objectOf(name)))
      .map((name) => [name, ['-x', 'c', '-w', '-fsanitize=address,fuzzer-no-link']]),
    ...ours
      .filter((name) => changedSince(path.join(root, name), objectOf(name)) || changedAt(objectOf(name)) < headers)
      .map((name) => [name, ['-std=c++17', ...OWN_CHECKS]]),
  ];
  await runAll(
    stale.map((source) => () => compile(...source)),
    width(),
  );
  const archive = path.join(out, 'native.a');
  fs.rmSync(archive, { force: true });
  await must('ar', ['rcs', archive, ...[...foreign, ...ours].map(objectOf)]);
  return archive;
}

async function buildHarness(clang, archive, target) {
  const { harness = target, define } = TARGETS[target];
  const program = path.join(out, `fuzz-${target}`);
  await must(clang, [
    '-std=c++17',
    '-O1',
    '-g',
    '-fsanitize=fuzzer,address,undefined',
    ...OWN_CHECKS.slice(1),
    ...DEFINES,
    ...(define ? [define] : []),
    '-Inative',
    `native/fuzz/fuzz_${harness}.cc`,
    archive,
    '-o',
    program,
    '-lpthread',
  ]);
  return program;
}

/** The shortest inputs of a merged corpus, as many as fit. */
function commitCorpus(merged, committed, bytesMax = CORPUS_BYTES_MAX) {
  fs.rmSync(committed, { recursive: true, force: true });
  fs.mkdirSync(committed, { recursive: true });
  const inputs = fs.readdirSync(merged).map((name) => ({ name, bytes: fs.readFileSync(path.join(merged, name)) }));
  inputs.sort((a, b) => a.bytes.length - b.bytes.length || (a.name < b.name ? -1 : 1));
  let total = 0;
  let kept = 0;
  for (const { name, bytes } of inputs) {
    total += bytes.length;
    if (total > bytesMax) break;
    fs.writeFileSync(path.join(committed, name.slice(0, 16)), bytes);
    kept += 1;
  }
  console.log(`${path.relative(root, committed)}: ${kept} of ${inputs.length} inputs`);
}

async function fuzz(program, target, { seconds, merge }) {
  const finds = path.join(out, `corpus-${target}`);
  const committed = path.join(root, 'test/fuzz-corpus', target);
  for (const folder of [finds, committed]) fs.mkdirSync(folder, { recursive: true });
  const limits = [`-max_len=${INPUT_BYTES_MAX}`, '-rss_limit_mb=2048', '-malloc_limit_mb=1024'];
  if (merge) {
    const merged = path.join(out, `merged-${target}`);
    fs.rmSync(merged, { recursive: true, force: true });
    fs.mkdirSync(merged);
    const sound = await run(program, ['-merge=1', ...limits, merged, finds, committed], { quiet: true });
    if (sound) commitCorpus(merged, committed, TARGETS[target].corpusBytesMax);
    return sound;
  }
  const rest = [...limits, '-print_final_stats=1', '-verbosity=0', `-artifact_prefix=${out}/${target}-`];
  const sound = await run(program, [`-max_total_time=${seconds}`, ...rest, finds, committed]);
  console.log(`== ${target}, ${seconds} s: ${sound ? 'clean' : 'FAILED'}`);
  return sound;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    merge: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
  },
});
const chosen = positionals.length > 0 ? positionals.join(',').split(',') : Object.keys(TARGETS);
const unknown = chosen.filter((name) => !Object.hasOwn(TARGETS, name));
if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(', ')}; there are ${Object.keys(TARGETS).join(', ')}`);
if (values.fresh) fs.rmSync(out, { recursive: true, force: true });
fs.mkdirSync(out, { recursive: true });
const clang = findClang();
const archive = await buildLibrary(clang);
const failed = [];
await runAll(
  chosen.map((target) => async () => {
    if (!(await fuzz(await buildHarness(clang, archive, target), target, values))) failed.push(target);
  }),
  width(),
);
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}
