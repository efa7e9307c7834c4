/**
 * Checks the layout of our own C++ with clang-format 19 (`.clang-format`); with
 * `--write` it mends it. Vendored sources are left alone.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const write = process.argv.includes('--write');

/** Newer releases of clang-format lay the same code out differently, so the major version is pinned. */
function findTool() {
  for (const name of [process.env.CLANG_FORMAT, 'clang-format-19', 'clang-format']) {
    if (!name) continue;
    const run = spawnSync(name, ['--version'], { encoding: 'utf8' });
    if (run.status === 0 && / version 19\./.test(run.stdout)) return name;
  }
  return undefined;
}

/** @param {string} folder */
function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!['vendor', 'build', 'node_modules'].includes(entry.name)) yield* sources(path);
    } else if (/\.(cc|cpp|h|hpp)$/.test(entry.name)) yield path;
  }
}

const tool = findTool();
if (!tool) {
  console.error('clang-format 19 is needed to check the C++ sources: apt-get install clang-format-19');
  process.exit(1);
}
const files = [...sources(join(root, 'native'))].map((path) => relative(root, path));
const options = write ? ['-i'] : ['--dry-run', '-Werror'];
const run = spawnSync(tool, [...options, '--', ...files], { cwd: root, stdio: 'inherit' });
if (run.status === 0) console.log(`${write ? 'Formatted' : 'Checked'} ${files.length} C++ files.`);
process.exit(run.status ?? 1);
