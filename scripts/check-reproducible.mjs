/**
 * Builds the npm package twice from the newest commit, in folders of different names, and compares the tarballs byte by
 * byte. Prints the SHA-512 that anyone gets who builds that commit with the same compiler; ends with 1 when they differ.
 *
 *   npm run check:reproducible
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

function run(cwd, command, ...args) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

const hash = (file) => createHash('sha512').update(readFileSync(file)).digest('hex');

/** Builds the package in a fresh clone; gives the tarball, and what is in it by name. */
function build(clone, commit) {
  run(root, 'git', 'clone', '--quiet', '--shared', '--no-checkout', root, clone);
  run(clone, 'git', 'checkout', '--quiet', '--detach', commit);
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
  run(clone, process.execPath, 'scripts/prebuild.mjs');
  run(clone, process.execPath, 'scripts/build-ts.mjs');
  const [{ filename }] = JSON.parse(run(clone, 'npm', 'pack', '--ignore-scripts', '--json', '--loglevel=error'));
  const open = join(clone, 'out', 'package');
  mkdirSync(open, { recursive: true });
  run(open, 'tar', '-xzf', join(clone, filename));
  const content = new Map(
    readdirSync(open, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .map((file) => [relative(open, file), hash(file)]),
  );
  return { digest: hash(join(clone, filename)), content };
}

const commit = run(root, 'git', 'rev-parse', 'HEAD').trim();
const place = mkdtempSync(join(tmpdir(), 'dk-reproducible-'));
try {
  const [one, other] = ['one', 'another-one-with-a-longer-name'].map((name) => build(join(place, name), commit));
  const names = [...new Set([...one.content.keys(), ...other.content.keys()])];
  const different = names.filter((name) => one.content.get(name) !== other.content.get(name));
  for (const name of different) console.error(`differs: ${name}`);
  if (one.digest !== other.digest) {
    console.error(`the tarballs differ${different.length === 0 ? ', though not in the content of a file' : ''}`);
    process.exitCode = 1;
  } else console.log(`${commit}: ${names.length} files, equal in both builds; sha512 of the tarball ${one.digest}`);
} finally {
  rmSync(place, { recursive: true });
}
