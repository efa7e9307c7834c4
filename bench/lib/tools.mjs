/** The tools compared: how each is asked to take a state and to bring it back, the way its users do. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @typedef {import('./bench-types.js').Tool} Tool */

/** The project's root. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The built program, as a user runs it. */
export const CLI = join(ROOT, 'dist', 'cli', 'main.js');
const GZIP_COPY = fileURLToPath(new URL('gzip-copy.mjs', import.meta.url));

/**
 * @param {string} command
 * @param {readonly string[]} args
 */
function firstLine(command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  return result.status === 0 ? (result.stdout.split('\n')[0] ?? '').trim() : null;
}

/**
 * A version's name in stores that go by names; none is the beginning of another.
 * @param {number} version
 */
const label = (version) => `v${String(version).padStart(4, '0')}`;

/** @type {Tool} */
const diffkeeper = {
  name: 'diffkeeper',
  role: 'this project: `diffkeeper capture`, `diffkeeper recover`',
  version: () => {
    if (!existsSync(CLI)) return null;
    return `diffkeeper ${JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version}`;
  },
  prepare: () => [],
  capture: ({ state, store }) => [
    { command: process.execPath, args: [CLI, 'capture', `--state-dir=${state}`, `--store=${store}`] },
  ],
  recover: ({ store }, version, target) => [
    {
      command: process.execPath,
      args: [CLI, 'recover', `--store=${store}`, `--state-dir=${target}`, ...(version ? [`--at=${version}`] : [])],
    },
  ],
};

/** @type {Tool} */
const restic = {
  name: 'restic',
  role: '`restic backup`, `restic restore`; it always encrypts',
  version: () => firstLine('restic', ['version']),
  prepare: ({ store }) => [{ command: 'restic', args: ['-q', '-r', store, 'init'] }],
  capture: ({ state, store }, version) => [
    { command: 'restic', args: ['-q', '-r', store, 'backup', '--tag', label(version), '.'], cwd: state },
  ],
  recover: ({ store }, version, target) => {
    const which = version === null ? ['latest'] : ['latest', '--tag', label(version)];
    return [{ command: 'restic', args: ['-q', '-r', store, 'restore', ...which, '--target', target] }];
  },
};

/** @type {Tool} */
const borg = {
  name: 'borg',
  role: '`borg create`, `borg extract`; without encryption, lz4 as by default',
  version: () => firstLine('borg', ['--version']),
  prepare: ({ store }) => [{ command: 'borg', args: ['init', '--encryption=none', store] }],
  capture: ({ state, store }, version) => [
    { command: 'borg', args: ['create', `${store}::${label(version)}`, '.'], cwd: state },
  ],
  recover: (place, version, target) => {
    // Borg knows archives by name only; the newest has the highest number.
    const newest = () => {
      const list = spawnSync('borg', ['list', '--short', '--last=1', place.store], {
        env: place.env,
        encoding: 'utf8',
      });
      return list.stdout.trim();
    };
    const name = version === null ? newest() : label(version);
    return [{ command: 'borg', args: ['extract', `${place.store}::${name}`], cwd: target }];
  },
};

/** @type {Tool} */
const git = {
  name: 'git',
  role: '`git add -A` and `git commit`, `git worktree add`; its automatic gc in the foreground; not made durable',
  version: () => firstLine('git', ['--version']),
  prepare: ({ store }) => [
    { command: 'git', args: ['init', '-q', '--bare', store] },
    { command: 'git', args: ['--git-dir', store, 'config', 'core.bare', 'false'] },
    // Else a gc goes on in the background, beside the steps of other tools.
    { command: 'git', args: ['--git-dir', store, 'config', 'gc.autoDetach', 'false'] },
  ],
  capture: ({ state, store }, version) => {
    const base = [`--git-dir=${store}`, `--work-tree=${state}`];
    return [
      { command: 'git', args: [...base, 'add', '-A'], cwd: state },
      { command: 'git', args: [...base, 'commit', '-q', '--allow-empty', '-m', label(version)], cwd: state },
    ];
  },
  recover: ({ store }, version, target) => {
    // Commits are found by their message: a tag for each would be one more process in every capture.
    const which = version === null ? 'HEAD' : `:/^${label(version)}`;
    return [{ command: 'git', args: [`--git-dir=${store}`, 'worktree', 'add', '-q', '--detach', target, which] }];
  },
  leaves: '.git',
};

/** @type {Tool} */
const gzip = {
  name: 'gzip',
  role: 'the naive way: every file gzipped (zlib, level 6), every time; not made durable',
  version: () => `zlib ${process.versions.zlib}`,
  prepare: () => [],
  capture: ({ state, store }, version) => [
    { command: process.execPath, args: [GZIP_COPY, 'pack', state, join(store, `v${version}`)] },
  ],
  recover: ({ store }, version, target) => {
    let which = version ?? 1;
    if (version === null) while (existsSync(join(store, `v${which + 1}`))) which += 1;
    return [{ command: process.execPath, args: [GZIP_COPY, 'unpack', join(store, `v${which}`), target] }];
  },
};

export const TOOLS = Object.freeze([diffkeeper, restic, borg, git, gzip]);
