/**
 * Bundles the programs of `test/crash` for scripts that run them outside of the test runner: with small bounds for the
 * processes whose calls are recorded or made to fail, so that a short life crosses them, with the true ones for checks.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
// Below the project, so that packages are found; one folder per process, so that two runs do not meet.
const out = join(root, 'build', `crash-${process.pid}`);

/** File -> pairs of a bound as it stands there and the small one. */
const SMALL = {
  'core/limits.ts': [
    ['packBytes: 64 << 20', 'packBytes: 48 << 10'],
    ['versionsRecordBytes: 1 << 16', 'versionsRecordBytes: 1 << 10'],
    ['denseGroupBytes: 4 << 20', 'denseGroupBytes: 32 << 10'],
  ],
  'recover/large-steps.ts': [['SHORT_STEP_BYTES = 2 << 20', 'SHORT_STEP_BYTES = 512 << 10']],
  'store/packs.ts': [['>= LIMITS.stagedBytes', '>= 16 << 10']],
  'store/meta.ts': [['CHANGES_PER_BATCH = 16_384', 'CHANGES_PER_BATCH = 64']],
  'store/meta-level.ts': [['writeBufferSize: 4 << 20', 'writeBufferSize: 64 << 10']],
};

/** Names of files that are the same in each life: strace lets calls fail by whole paths. */
const NAMED = {
  'core/fs.ts': [['process.pid}.tmp', "'own'}.tmp"]],
  'store/aside.ts': [
    ['Date.now()}', '(globalThis.dkAside = (globalThis.dkAside ?? 0) + 1)}'],
    ["randomBytes(4).toString('hex')", "'0'.repeat(8)"],
  ],
};

const rewritten = (texts) => ({
  name: 'rewritten',
  setup({ onLoad }) {
    for (const [file, changes] of Object.entries(texts)) {
      onLoad({ filter: new RegExp(`/src/${file.replace('.', '\\.')}$`) }, ({ path }) => {
        let contents = readFileSync(path, 'utf8');
        for (const [bound, small] of changes) {
          if (!contents.includes(bound)) throw new Error(`${file} has no "${bound}" any more`);
          contents = contents.replace(bound, small);
        }
        return { contents, loader: 'ts' };
      });
    }
  },
});

/** The addon is looked for from the place of the file that loads it. */
const addonInPlace = {
  name: 'addon-in-place',
  setup({ onResolve }) {
    onResolve({ filter: /\/addon\.cjs$/ }, () => ({ path: join(root, 'src', 'addon.cjs'), external: true }));
  },
};

function bundle(name, plugins) {
  return build({
    entryPoints: [join(root, 'test', 'crash', `${name}.ts`)],
    outfile: join(out, `${name}.mjs`),
    bundle: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    plugins: [addonInPlace, ...plugins],
    logLevel: 'warning',
  });
}

/** A library to be preloaded, for names that the addon makes. */
function compile(name) {
  const source = join(root, 'test', 'crash', `${name}.c`);
  const { status } = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', join(out, `${name}.so`), source], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`${source} cannot be compiled: is there a C compiler?`);
}

/**
 * Bundles, runs one of them with these arguments, and cleans up; gives its exit code. `named`: the small ones have the
 * same names of files each time.
 */
export async function runBundled({ small, plain, run, words, named = false }) {
  mkdirSync(out, { recursive: true });
  try {
    if (named) compile('steady-names');
    await Promise.all([
      ...small.map((name) => bundle(name, [rewritten(named ? { ...SMALL, ...NAMED } : SMALL)])),
      ...plain.map((name) => bundle(name, [])),
    ]);
    return spawnSync(process.execPath, [join(out, `${run}.mjs`), ...words], { stdio: 'inherit' }).status ?? 1;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
