#!/usr/bin/env node
// Builds the libFuzzer harness of the `sparse` engine with ASan and UBSan and runs it.
//
//   node scripts/fuzz-sparse.mjs [seconds] [corpus folder]
//
// Needs clang with its runtime (CLANG names another than `clang++`). A crash leaves a file in build/fuzz and a non-zero
// exit code.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const out = path.join(root, 'build/fuzz');
const clang = process.env.CLANG ?? 'clang++';
const [seconds = '60', corpus = path.join(out, 'corpus-sparse')] = process.argv.slice(2);

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

const lists = JSON.parse(fs.readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
const rooms = /^native\/(sparse|common|zstd|blake3\/blake3_face)/;
const own = lists.own.filter((name) => rooms.test(name) && !name.includes('glibc_floor'));
own.push('native/xor/xor_scan.cc');
const vendor = lists.vendor.filter((name) => /^native\/(zstd|blake3)\/.*\.c$/.test(name));
const defines = [
  '-DZSTD_LEGACY_SUPPORT=0',
  '-DZSTD_NO_TRACE=1',
  '-DZSTD_DISABLE_ASM=1',
  ...['AVX512', 'AVX2', 'SSE41', 'SSE2'].map((level) => `-DBLAKE3_NO_${level}`),
];
fs.mkdirSync(corpus, { recursive: true });
fs.mkdirSync(out, { recursive: true });
const objects = vendor.map((name) => {
  const object = path.join(out, `sparse-${name.replaceAll('/', '_').replace(/\.c$/, '.o')}`);
  const flags = ['-x', 'c', '-O1', '-g', '-w', '-fsanitize=address,fuzzer-no-link', ...defines];
  if (!fs.existsSync(object)) run(clang, [...flags, '-c', name, '-o', object]);
  return object;
});
const program = path.join(out, 'fuzz-sparse');
const checks = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined', '-fno-sanitize=vptr'];
const build = ['-std=c++17', '-O1', '-g', ...checks, ...defines, '-Inative'];
run(clang, [...build, ...own, 'native/sparse/fuzz_sparse.cc', ...objects, '-o', program, '-lpthread']);
const source = Array.from({ length: 100 }, (_, i) => (i * 37) & 255);
const seeds = [
  [0],
  [4, 0, 8, 0, 3, 2, 1, 0, 9, 9, 9, 9],
  [3, 0, 5, 1, 3, 2, 0x21, 0x03, 1, 2, 3],
  [5, 2, 6, 2, 2, 1, 0, 0x21, 0x0b, 1, 2, 3, 4, 5],
];
for (const [i, seed] of seeds.entries()) {
  fs.writeFileSync(path.join(corpus, `seed-${i}`), Buffer.from([100, 0, 100, 0, ...source, ...seed]));
}
const limits = ['-max_len=8192', '-rss_limit_mb=1024', '-print_final_stats=1'];
run(program, [`-max_total_time=${seconds}`, ...limits, `-artifact_prefix=${out}/`, corpus]);
