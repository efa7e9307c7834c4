#!/usr/bin/env node
// Builds the libFuzzer harness of the `tensor` engine with ASan and UBSan and runs it.
//
//   node scripts/fuzz-planes.mjs [seconds] [corpus folder]
//
// Needs clang with its runtime (CLANG names another than `clang++`). A crash leaves a file in build/fuzz and a non-zero
// exit code. Seeds are the committed payloads of test/engine/tensor-golden.json that are small, and some made by hand.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const out = path.join(root, 'build/fuzz');
const clang = process.env.CLANG ?? 'clang++';
const [seconds = '60', corpus = path.join(out, 'corpus-planes')] = process.argv.slice(2);
const defines = ['-DZSTD_LEGACY_SUPPORT=0', '-DZSTD_NO_TRACE=1', '-DZSTD_DISABLE_ASM=1', '-DDK_SANITIZED'];

function must(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** The zstd that is vendored, once. */
function zstdObjects(names) {
  return names.map((name) => {
    const object = path.join(out, `planes-${name.replaceAll('/', '_')}.o`);
    const flags = ['-x', 'c', '-O1', '-g', '-w', '-fsanitize=address,fuzzer-no-link', ...defines];
    if (!fs.existsSync(object)) must(clang, [...flags, '-c', name, '-o', object]);
    return object;
  });
}

/** Payloads for a source and a target of 100 bytes, and round trips with regions. */
function writeSeeds(folder) {
  const source = Array.from({ length: 100 }, (_, i) => (i * 37) & 255);
  const plain = (kind, planes) => [1, 100, kind, ...(kind & 16 ? [0] : []), ...planes];
  const planes = (width) => Array.from({ length: width }, () => [0, ...source.slice(0, 100 / width)]).flat();
  const seeds = [
    [0, ...plain(17, [])],
    [0, ...plain(0, planes(1))],
    [0, ...plain(2, planes(2))],
    [0, ...plain(18, planes(2))],
    [0, ...plain(20, planes(4))],
    [0, 1, 50, 17, 20, 50, 17, 19],
    [1 + 2 * (8 + 0), 3, 90, 0, 1, 0, 0, ...source],
    [1 + 2 * (16 + 1), 0, 40, 0, 0, 2, 0, 5, 30, 0, 2, 1, 0, ...source],
    [1 + 2 * (8 + 2), 0, 100, 0, 1, 4, 0, ...source.map((byte) => byte ^ 1)],
  ];
  for (const [i, [mode, ...rest]] of seeds.entries()) {
    fs.writeFileSync(path.join(folder, `seed-${i}`), Buffer.from([mode, 100, 0, 100, 0, ...source, ...rest]));
  }
  const { good, bad } = JSON.parse(fs.readFileSync(path.join(root, 'test/engine/tensor-golden.json'), 'utf8'));
  for (const [i, { payload }] of [...Object.values(good), ...Object.values(bad)].entries()) {
    const bytes = Buffer.from(payload, 'base64');
    if (bytes.length < 4096)
      fs.writeFileSync(path.join(folder, `golden-${i}`), Buffer.concat([Buffer.from([0, 0, 0, 0, 4]), bytes]));
  }
}

const lists = JSON.parse(fs.readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
const own = lists.own.filter((name) => /^native\/(planes|common|zstd)\//.test(name) && !name.includes('glibc_floor'));
fs.mkdirSync(corpus, { recursive: true });
fs.mkdirSync(out, { recursive: true });
const objects = zstdObjects(lists.vendor.filter((name) => name.startsWith('native/zstd/')));
const program = path.join(out, 'fuzz-planes');
const checks = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined', '-fno-sanitize=vptr'];
const build = ['-std=c++17', '-O1', '-g', ...checks, ...defines, '-Inative'];
must(clang, [...build, ...own, 'native/planes/fuzz_planes.cc', ...objects, '-o', program, '-lpthread']);
writeSeeds(corpus);
const limits = ['-max_len=8192', '-rss_limit_mb=1024', '-print_final_stats=1'];
must(program, [`-max_total_time=${seconds}`, ...limits, `-artifact_prefix=${out}/`, corpus]);
