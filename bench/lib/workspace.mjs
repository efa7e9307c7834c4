/** The directory of one run: made fresh, removed at the end, also when the run is interrupted. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { constants } from 'node:os';
import { join, resolve } from 'node:path';
import { killRunning } from './timed-run.mjs';

/**
 * @param {string} parent
 * @returns {import('./bench-types.js').Workspace}
 */
export function openWorkspace(parent) {
  mkdirSync(parent, { recursive: true });
  const root = mkdtempSync(join(resolve(parent), 'diffkeeper-bench-'));
  const remove = () => {
    killRunning();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once('exit', remove);
  for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.once(name, () => process.exit(128 + constants.signals[name]));
  }
  mkdirSync(join(root, 'home'));
  return {
    root,
    place: (...names) => {
      const path = join(root, ...names);
      mkdirSync(path, { recursive: true });
      return path;
    },
  };
}

/**
 * Our own environment, without what makes every start of Node take longer: with extra certificates it parses all it knows,
 * 60 ms each time, whatever the program.
 * @param {import('./bench-types.js').Workspace} workspace
 * @returns {NodeJS.ProcessEnv}
 */
export function inheritedEnvironment({ root }) {
  const { NODE_EXTRA_CA_CERTS: _certificates, NODE_OPTIONS: _options, ...inherited } = process.env;
  return { ...inherited, TMPDIR: root };
}

/**
 * Settings of nobody's home directory reach the tools, and none of ours.
 * @param {import('./bench-types.js').Workspace} workspace
 * @param {string} caches directory for what tools keep outside their stores
 * @returns {NodeJS.ProcessEnv}
 */
export function toolEnvironment(workspace, caches) {
  const who = { NAME: 'bench', EMAIL: 'bench@localhost' };
  return {
    PATH: process.env.PATH,
    LANG: 'C.UTF-8',
    HOME: join(workspace.root, 'home'),
    TMPDIR: workspace.root,
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: who.NAME,
    GIT_AUTHOR_EMAIL: who.EMAIL,
    GIT_COMMITTER_NAME: who.NAME,
    GIT_COMMITTER_EMAIL: who.EMAIL,
    RESTIC_PASSWORD: 'bench',
    RESTIC_CACHE_DIR: join(caches, 'restic'),
    BORG_BASE_DIR: join(caches, 'borg'),
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
  };
}

/**
 * Writes out what earlier steps left dirty, so that no tool pays for another's writes.
 * @param {string} directory
 */
export function settleDisk(directory) {
  spawnSync('sync', ['-f', directory]);
}

/** @param {string} directory */
export function freeBytes(directory) {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
