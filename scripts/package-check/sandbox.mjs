/** A folder for an installation, and a PATH that holds only what is named. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** No single command of the check takes longer; building the addon on a busy machine is the longest. */
const LIMIT_MS = 600_000;

/** Full path of a command, as the caller's PATH finds it. */
export function whereIs(name) {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  return folders.map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file));
}

/** npm's own program: the one that runs us, else the one on the PATH. */
function npmProgram() {
  const running = process.env.npm_execpath;
  if (running !== undefined && path.basename(running) === 'npm-cli.js') return running;
  return fs.realpathSync(whereIs('npm'));
}

/** What npm and this project say to their children stays outside, where to find the registry does not. */
function cleanEnvironment() {
  const kept = /^npm_config_(registry|cache|cafile|userconfig|globalconfig|prefer_offline|fetch_)/i;
  const drop = (name) => /^(npm_|INIT_CWD$|DIFFKEEPER_|NODE_OPTIONS$|CC$|CXX$)/i.test(name) && !kept.test(name);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !drop(name)));
}

export class Sandbox {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'diffkeeper-package-'));
    /** The installation: an empty folder at first. */
    this.app = path.join(this.folder, 'app');
    this.commands = path.join(this.folder, 'bin');
    fs.mkdirSync(this.app);
    fs.mkdirSync(this.commands);
    this.allow('sh', whereIs('sh'));
    this.allow('node', process.execPath);
    fs.writeFileSync(path.join(this.commands, 'npm'), `#!/bin/sh\nexec node '${npmProgram()}' "$@"\n`, { mode: 0o755 });
  }

  /** Puts one more command on the PATH. */
  allow(name, file = whereIs(name)) {
    if (file === undefined) throw new Error(`${name} is not on this machine`);
    fs.symlinkSync(fs.realpathSync(file), path.join(this.commands, name));
  }

  /** Names of all commands on the PATH. */
  allowed() {
    return fs.readdirSync(this.commands).sort();
  }

  /** Runs a command in the installation; never throws. */
  run(command, args, extra = {}) {
    const result = spawnSync(path.join(this.commands, command), args, {
      cwd: this.app,
      encoding: 'utf8',
      timeout: LIMIT_MS,
      env: { ...cleanEnvironment(), PATH: this.commands, NO_COLOR: '1', ...extra },
    });
    return { status: result.status, stdout: result.stdout ?? '', stderr: result.stderr ?? '' };
  }

  remove() {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
