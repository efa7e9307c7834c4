/**
 * Starts the application by calls of our own, where the addon has them. Node takes the end by a real-time signal for a
 * success (code 0), and hands on no descriptors above 2.
 */
import { readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import * as path from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { loadProcessCalls, type ProcessCalls } from '../engine/load.js';
import type { Child, ChildOptions } from './child.js';
import { EXIT_CODES } from './exit-codes.js';
import type { ChildEnd } from './types.js';

/** As the C library searches without PATH. */
const PATH_FALLBACK = '/bin:/usr/bin';
/** The kernel tells of each end; should that be lost, it is asked so often, ms. The timer keeps the event loop alive, too. */
const LOOK_MS = 10_000;

/** More than any service listens on. */
const LISTEN_FDS_MAX = 1024;

/** Who has been started here and not been collected: nobody else may do that. */
const running = new Set<number>();

/** Whether it is an application that this file collects. */
export function collectsItself(pid: number): boolean {
  return running.has(pid);
}

/** Files that a name may mean, as the C library looks for it. */
function filesOf(program: string, env: NodeJS.ProcessEnv): string[] {
  if (program === '' || program.includes('/')) return [program];
  return (env.PATH ?? PATH_FALLBACK)
    .split(':')
    .map((directory) => (directory === '' ? program : `${directory}/${program}`));
}

/** `SIGTERM` ...; a real-time signal has no name that all systems agree on: `SIG34`. */
function signalNameOf(number: number): string {
  return Object.entries(constants.signals).find(([, one]) => one === number)?.[0] ?? `SIG${number}`;
}

function endOf(told: number | null): ChildEnd {
  if (told === null) return { exitCode: EXIT_CODES.runFailed, signalName: null };
  if (told >= 0) return { exitCode: told, signalName: null };
  return { exitCode: EXIT_CODES.signalBase - told, signalName: signalNameOf(-told) };
}

/** Descriptors of `sd_listen_fds`: from 3 on, as many as the variable says. Of others nobody can tell which are Node's. */
function handedOn(count: string | undefined): number[] {
  const length = /^\d{1,4}$/.test(count ?? '') ? Math.min(Number(count), LISTEN_FDS_MAX) : 0;
  return Array.from({ length }, (_, index) => index + 3).filter((fd) => !isAnonymous(fd));
}

/** Event queues and the like: Node's own, should the variable promise more than there is. */
function isAnonymous(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith('anon_inode:');
  } catch {
    return true;
  }
}

/** Starts it; undefined where only Node can. Throws the system's error, with its name as `code`. */
export function startByCalls(options: ChildOptions): Child | undefined {
  const calls = loadProcessCalls();
  // Signals, and so the ends of children, are told to the main thread alone.
  if (calls === undefined || process.platform !== 'linux' || !isMainThread) return undefined;
  const [program = '', ...rest] = options.command;
  const env = { ...options.env };
  // Descriptors handed on by the protocol of `sd_listen_fds` are for the process named here: for us, and so for the application.
  const listens = env.LISTEN_PID === String(process.pid);
  if (listens) {
    delete env.LISTEN_PID;
    delete env.LISTEN_PIDFDID;
  }
  const pid = calls.startProgram({
    files: filesOf(program, env),
    words: [program, ...rest],
    environment: Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])),
    pidVariable: listens ? 'LISTEN_PID' : '',
    directory: options.cwd === undefined ? '' : path.resolve(options.cwd),
    ownSession: options.ownGroup,
    descriptors: listens ? handedOn(env.LISTEN_FDS) : [],
  });
  return pid === undefined ? undefined : watchEnd(calls, pid, options.ownGroup);
}

function watchEnd(calls: ProcessCalls, pid: number, ownGroup: boolean): Child {
  running.add(pid);
  let end: ChildEnd | undefined;
  let resolve: (end: ChildEnd) => void = () => {};
  const ended = new Promise<ChildEnd>((done) => {
    resolve = done;
  });
  const look = (): void => {
    if (end !== undefined) return;
    const told = calls.collectProgram(pid);
    if (told === undefined) return;
    end = endOf(told);
    running.delete(pid);
    process.off('SIGCHLD', look);
    clearInterval(timer);
    resolve(end);
  };
  const timer = setInterval(look, LOOK_MS);
  process.on('SIGCHLD', look);
  // It may have ended before anybody listened.
  look();
  return {
    pid,
    ended,
    get gone() {
      look();
      return end !== undefined;
    },
    signal: (name, group = false) => {
      // Until it has been collected, here, nobody else can have its number.
      if (end !== undefined) return false;
      try {
        return process.kill(group && ownGroup ? -pid : pid, name);
      } catch {
        return false;
      }
    },
  };
}
