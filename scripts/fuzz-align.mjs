#!/usr/bin/env node
// Builds the libFuzzer harness of the `align` engine with ASan and UBSan and runs it.
//
//   node scripts/fuzz-align.mjs [decode|trip] [seconds] [corpus folder]
//
// Needs clang with its runtime (CLANG names another than `clang++`). The corpus folder is made when it is not there;
// without one the finds are dropped. A crash leaves a file in build/fuzz and a non-zero exit code.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const out = path.join(root, 'build/fuzz');
const clang = process.env.CLANG ?? 'clang++';
const [what = 'decode', seconds = '60', corpus = path.join(out, `corpus-${what}`)] = process.argv.slice(2);

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Seeds whose streams are stored as they are, so that changed bytes reach the copies and runs behind them. */
function writeSeeds(folder) {
  const head = (mode, source, target) => [mode, source & 255, source >> 8, target & 255, target >> 8];
  const source = Array.from({ length: 100 }, (_, i) => (i * 37) & 255);
  const payloads = [
    [2, 100, 1, 1, 3, 0, 0, 99, 0, 0],
    [2, 100, 5, 1, 5, 0, 0, 99, 0, 1, 7 | 64, 1, 0, 3, 1, 0, 250, 0, 0],
    [2, 100, 0, 2, 2, 0, 1, 1, 2, 0, 48, 48, 2, 0, 0, 4, 2, 0, 65, 66],
    [2, 60, 1, 1, 3, 0, 10, 40, 0, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 40, 0, 0, 40, 0, ...source.slice(0, 40)],
    [1, 0x60, 100, 0x21, 3, 0],
  ];
  if (what === 'decode') {
    payloads.forEach((payload, i) => {
      fs.writeFileSync(path.join(folder, `seed-${i}`), Buffer.from([...head(0, 100, 100), ...source, ...payload]));
    });
    return;
  }
  for (const effort of [0, 1, 2]) {
    const target = [...source.slice(50), 1, 2, 3, ...source.slice(0, 50)];
    fs.writeFileSync(path.join(folder, `seed-${effort}`), Buffer.from([...head(effort, 100, 9), ...source, ...target]));
  }
}

const lists = JSON.parse(fs.readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
const own = lists.own.filter((name) => /^native\/(align|common|zstd)\//.test(name) && !name.includes('glibc_floor'));
const vendor = lists.vendor.filter((name) => name.startsWith('native/zstd/'));
fs.mkdirSync(corpus, { recursive: true });
fs.mkdirSync(out, { recursive: true });
const object = path.join(out, 'zstd.o');
const defines = ['-DZSTD_LEGACY_SUPPORT=0', '-DZSTD_NO_TRACE=1', '-DZSTD_DISABLE_ASM=1', '-DDK_SANITIZED'];
if (!fs.existsSync(object)) {
  const objects = vendor.map((name) => path.join(out, name.replaceAll('/', '_').replace(/\.c$/, '.o')));
  vendor.forEach((name, i) => {
    run(clang, [
      '-x',
      'c',
      '-O1',
      '-g',
      '-w',
      '-fsanitize=address,fuzzer-no-link',
      ...defines,
      '-c',
      name,
      '-o',
      objects[i],
    ]);
  });
  run('ld', ['-r', '-o', object, ...objects]);
}
const program = path.join(out, `fuzz-align-${what}`);
const checks = [
  ...(what === 'trip' ? ['-DDK_FUZZ_TRIP'] : []),
  '-fsanitize=fuzzer,address,undefined',
  '-fno-sanitize-recover=undefined',
  '-fno-sanitize=vptr',
];
run(clang, [
  '-std=c++17',
  '-O1',
  '-g',
  ...checks,
  ...defines,
  '-Inative',
  ...own,
  'native/align/fuzz_align.cc',
  object,
  '-o',
  program,
  '-lpthread',
]);
writeSeeds(corpus);
run(program, [
  `-max_total_time=${seconds}`,
  '-max_len=8192',
  '-rss_limit_mb=1024',
  '-print_final_stats=1',
  `-artifact_prefix=${out}/`,
  corpus,
]);
