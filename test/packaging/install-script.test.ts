/** scripts/install.mjs in a small package of its own: a tiny addon in place of ours, a PATH that the test chooses. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { projectRoot } from '../project/source-tree.js';

const ADDON = `#include <node_api.h>
extern "C" __attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env, napi_value exports) {
  return exports;
}
extern "C" __attribute__((visibility("default"))) int32_t node_api_module_get_api_version_v1() { return 8; }
`;
const PREBUILDS = `prebuilds/${process.platform}-${process.arch}`;

let root: string;

function put(name: string, text: string): void {
  mkdirSync(join(root, name, '..'), { recursive: true });
  writeFileSync(join(root, name), text);
}

const builtFile = (): string => join(root, 'build/Release/diffkeeper.node');

/** Runs the script as npm does. Without a compiler the PATH is an empty folder. */
function install(
  compiler: boolean,
  env: Readonly<Record<string, string>> = {},
  args: readonly string[] = [],
): SpawnSyncReturns<string> {
  const PATH = compiler ? process.env.PATH : join(root, 'bin');
  return spawnSync(process.execPath, ['scripts/install.mjs', ...args], {
    cwd: root,
    encoding: 'utf8',
    env: { PATH, ...env },
  });
}

/** Turns a local build into a prebuild, as a release would have it. */
function buildPrebuild(): void {
  const built = install(true);
  expect(built.stdout, built.stderr).toContain('built the native addon from source');
  mkdirSync(join(root, PREBUILDS), { recursive: true });
  renameSync(builtFile(), join(root, PREBUILDS, 'diffkeeper.node'));
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'diffkeeper-install-'));
  mkdirSync(join(root, 'bin'));
  for (const name of ['install.mjs', 'build-addon.mjs'])
    cpSync(join(projectRoot, 'scripts', name), join(root, 'scripts', name));
  for (const name of ['native/exports.map', 'native/common/glibc_floor.h', 'native/node-api/vendor'])
    cpSync(join(projectRoot, name), join(root, name), { recursive: true });
  symlinkSync(join(projectRoot, 'node_modules'), join(root, 'node_modules'));
  put('package.json', '{"name":"diffkeeper"}');
  const lists = {
    own: ['native/tiny.cc'],
    vendor: [],
    vendorX64: [],
    vendorArm64: [],
    definitions: ['NAPI_VERSION=8'],
  };
  put('native/sources.json', JSON.stringify(lists));
  put('native/tiny.cc', ADDON);
});

afterEach(() => rm(root, { recursive: true, force: true }));

describe('without a prebuild', () => {
  it('builds from the carried sources', () => {
    const { status, stdout, stderr } = install(true);
    expect(status, stderr).toBe(0);
    expect(stdout).toBe('diffkeeper: built the native addon from source\n');
    expect(readdirSync(join(root, 'build'))).toEqual(['Release']);
  });

  it('without a compiler: one warning, and the installation goes on', () => {
    const { status, stdout, stderr } = install(false);
    expect(status).toBe(0);
    expect(stdout).toBe('');
    expect(stderr.match(/^diffkeeper:/gm)).toHaveLength(1);
    expect(stderr).toContain('no C++ compiler was found');
    expect(stderr).toContain('npm rebuild diffkeeper');
  });

  it('without a source that the list names: a warning says which', () => {
    put('native/sources.json', '{"own":["native/gone.cc"],"vendor":[]}');
    const { status, stderr } = install(true);
    expect(status).toBe(0);
    expect(stderr).toContain('native/gone.cc is not there');
  });

  it('fails where the addon is required', () => {
    const { status, stderr } = install(false, { DIFFKEEPER_REQUIRE_NATIVE: '1' });
    expect(status).toBe(1);
    expect(stderr).toContain('DIFFKEEPER_REQUIRE_NATIVE=1');
  });

  it('tells what the compiler said, and leaves nothing half built', () => {
    put('native/tiny.cc', '#error this machine is too odd\n');
    const { status, stderr } = install(true);
    expect(status).toBe(0);
    expect(stderr).toContain('this machine is too odd');
    expect(readdirSync(join(root, 'build'))).toEqual(['Release']);
    expect(existsSync(builtFile())).toBe(false);
  });

  it('removes an addon that was built but does not load', () => {
    put('native/tiny.cc', 'int nothing;\n');
    const { status, stderr } = install(true);
    expect(status).toBe(0);
    expect(stderr).toContain('does not load');
    expect(existsSync(builtFile())).toBe(false);
  });
});

describe('with a prebuild', () => {
  it('does nothing when it loads', () => {
    buildPrebuild();
    const { status, stdout, stderr } = install(true);
    expect([status, stdout, stderr]).toEqual([0, '', '']);
    expect(existsSync(builtFile())).toBe(false);
  });

  it('builds when it does not load', () => {
    put(`${PREBUILDS}/diffkeeper.node`, 'for another machine');
    const { status, stdout } = install(true);
    expect(status).toBe(0);
    expect(stdout).toContain('built the native addon from source');
  });

  it('builds when it is asked to', () => {
    buildPrebuild();
    for (const [env, args] of [
      [{ npm_config_build_from_source: 'true' }, []],
      [{}, ['--build-from-source']],
    ] as const) {
      const { stdout } = install(true, env, args);
      expect(stdout).toContain('built the native addon from source');
      expect(existsSync(builtFile())).toBe(true);
    }
  });

  it('keeps it when the build that was asked for fails', () => {
    buildPrebuild();
    const { status, stderr } = install(false, { DIFFKEEPER_REQUIRE_NATIVE: '1' }, ['--build-from-source']);
    expect(status).toBe(0);
    expect(stderr).toContain('the prebuilt one stays');
  });
});

describe('in a checkout', () => {
  it('leaves the build to the developer', () => {
    mkdirSync(join(root, 'src'));
    const { status, stdout, stderr } = install(true);
    expect([status, stdout, stderr]).toEqual([0, '', '']);
    expect(existsSync(builtFile())).toBe(false);
  });
});
