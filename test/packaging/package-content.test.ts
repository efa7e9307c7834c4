import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { byteProblems, nameProblems, type SourceLists } from '../../scripts/package-check/content.mjs';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

const PREBUILD = 'prebuilds/linux-x64/diffkeeper.glibc.node';
const lists = JSON.parse(readFileSync(join(projectRoot, 'native/sources.json'), 'utf8')) as SourceLists;

/** What `npm pack` would take, besides prebuilds: those are made for a release. */
let names: string[];

beforeAll(async () => {
  await ensureBuilt();
  const output = execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], {
    cwd: projectRoot,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 26,
  });
  const [packed] = JSON.parse(output) as [{ readonly files: readonly { readonly path: string }[] }];
  names = packed.files.map((file) => file.path).filter((name) => !name.startsWith('prebuilds/'));
}, 120_000);

describe('the package', () => {
  it('holds what is meant to ship, the pinned C sources and their licences with it', () => {
    expect(nameProblems([...names, PREBUILD], lists, [PREBUILD])).toEqual([]);
    expect(names).toContain('native/zstd/vendor/compress/zstd_compress.c');
  });

  it('holds the library in few files, as finding and linking modules is most of an import', () => {
    const scripts = names.filter((name) => /^dist\/(esm|cjs)\/.*\.c?js$/.test(name));
    expect(scripts).toContain('dist/esm/index.js');
    expect(scripts.length).toBeLessThan(60);
  });

  it.each([
    'test/store/packs.test.ts',
    'src/index.ts',
    'scripts/demo.mjs',
    'dist/cli/main.ts',
    'dist/cli/program-0123456789abcdef-v20.0.0-linux-x64.cache',
    'native/zstd/vendor/.stamp',
    'prebuilds/linux-x64/diffkeeper.glibc.node.map',
    '.npmrc',
    'package-lock.json',
  ])('has no place for %s', (name) => {
    expect(nameProblems([...names, PREBUILD, name], lists, [PREBUILD])).toEqual([
      `${name} does not belong into the package`,
    ]);
  });

  it.each([PREBUILD, 'LICENSE', 'native/blake3/vendor/LICENSE_A2', 'native/binding/addon.cc'])('misses %s', (name) => {
    const others = [...names, PREBUILD].filter((other) => other !== name);
    expect(nameProblems(others, lists, [PREBUILD])).toEqual([`${name} is missing in the package`]);
  });

  it('notices a folder of this machine inside a file', () => {
    const bytes = Buffer.concat([Buffer.from([0, 255]), Buffer.from('/builder/here/native/a.cc'), Buffer.from([0])]);
    expect(byteProblems('a.node', bytes, ['/builder/here/'])).toHaveLength(1);
    expect(byteProblems('a.node', bytes, ['/builder/there/', '/'])).toEqual([]);
  });
});
