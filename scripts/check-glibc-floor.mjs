// Fails when the addon (or the file given) needs newer system libraries than promised:
// on x64 glibc 2.25 and libstdc++ of GCC 6, elsewhere those of Debian 11, where such prebuilds are made.
// Reads the versions that the binary asks for with objdump.
import { execFileSync } from 'node:child_process';

const FLOORS = {
  x64: { GLIBC: '2.25', GLIBCXX: '3.4.22', CXXABI: '1.3.13' },
  other: { GLIBC: '2.31', GLIBCXX: '3.4.28', CXXABI: '1.3.13' },
};
const FLOOR = FLOORS[process.arch] ?? FLOORS.other;
const file = process.argv[2] ?? 'build/Release/diffkeeper.node';

/** Compares dotted versions as numbers. */
function isNewer(version, floor) {
  const [a, b] = [version, floor].map((text) => text.split('.').map(Number));
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0);
  }
  return false;
}

const table = execFileSync('objdump', ['-T', file], { encoding: 'utf8' });
const tooNew = table.split('\n').filter((line) => {
  const match = /\b(GLIBC|GLIBCXX|CXXABI)_([0-9.]+)/.exec(line);
  return match !== null && isNewer(match[2], FLOOR[match[1]]);
});
for (const line of tooNew) console.error(line.trim());
if (tooNew.length > 0) process.exitCode = 1;
else console.log(`${file} loads on glibc ${FLOOR.GLIBC} and newer`);
