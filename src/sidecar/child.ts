/** Starts the application and the watchdog. The only importer of `node:child_process`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { DiffKeeperError, systemCode } from '../core/core.js';
import { EXIT_CODES, signalExitCode } from './exit-codes.js';
import type { ChildEnd } from './types.js';

/** A running application. */
export interface Child {
  readonly pid: number;
  /** Resolves when the process has ended; never rejects. */
  readonly ended: Promise<ChildEnd>;
  /** Sends a signal to the process, or to its whole group when it leads one and `group` is set; false when it is gone. */
  signal(name: NodeJS.Signals, group?: boolean): boolean;
}

export interface ChildOptions {
  readonly command: readonly string[];
  /** Own session and process group, so that the group can be stopped without stopping us. */
  readonly ownGroup: boolean;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string | undefined;
}

/** Exit code for a command that could not be started: 127 not found, 126 anything else. */
export function spawnFailureCode(error: unknown): number {
  const cause = error instanceof DiffKeeperError ? error.cause : error;
  return systemCode(cause) === 'ENOENT' ? EXIT_CODES.notFound : EXIT_CODES.cannotExecute;
}

/** Starts the command with our stdin, stdout and stderr. Throws DK_SPAWN with the system's error as cause. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const [program = '', ...args] = options.command;
  const failed = (error: unknown): DiffKeeperError => {
    const reason = error instanceof Error ? error.message : String(error);
    return new DiffKeeperError('DK_SPAWN', `cannot start ${program}: ${reason}`, { name: program }, error);
  };
  let child: ChildProcess;
  try {
    child = spawn(program, args, {
      stdio: 'inherit',
      shell: false,
      detached: options.ownGroup,
      env: options.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    // Subscribed before anything is awaited: a quick child must not end unseen.
    const ended = new Promise<ChildEnd>((resolve) => {
      child.once('exit', (code, signalName) => resolve(childEnd(code, signalName)));
    });
    await once(child, 'spawn');
    const { pid } = child;
    if (pid === undefined) throw new Error('it has no process id');
    const signal = (name: NodeJS.Signals, group = false): boolean => {
      if (!group || !options.ownGroup || child.exitCode !== null) return child.kill(name);
      return signalGroup(pid, name);
    };
    return { pid, ended, signal };
  } catch (error) {
    throw failed(error);
  }
}

function signalGroup(group: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(-group, name);
  } catch {
    return false;
  }
}

function childEnd(code: number | null, signalName: NodeJS.Signals | null): ChildEnd {
  if (signalName !== null) return { exitCode: signalExitCode(signalName), signalName };
  return { exitCode: code ?? EXIT_CODES.runFailed, signalName: null };
}

/** Resumes the stopped application should we die while it stands still. */
export interface Watchdog {
  /** Processes outside the group that are to be resumed too; replaces the last list. */
  cover(pids: readonly number[]): void;
  /** Ends the watchdog without a signal to anyone: the application has ended. */
  dismiss(): void;
}

/*
 * Each line names processes to resume besides the group; `done` ends the watch. The end of input without `done` is our
 * death: the kernel closes the pipe even after SIGKILL.
 */
const SHELL_WATCH = `extra=
while read -r line; do
  [ "$line" = done ] && exit 0
  extra=$line
done
kill -CONT -"$1" 2>/dev/null
for pid in $extra; do kill -CONT "$pid" 2>/dev/null; done
exit 0`;

/** The same for images without a shell. */
const NODE_WATCH = `let text='';process.stdin.on('data',(part)=>{text+=part}).on('end',()=>{
const last=text.trim().split('\\n').pop();if(last==='done')return;
for(const pid of ['-'+process.argv[1],...last.split(' ')]){try{if(+pid)process.kill(+pid,'SIGCONT')}catch{}}})`;

/** Starts the watchdog of a process group. Throws DK_SPAWN: without it nothing may be stopped. */
export async function startWatchdog(group: number): Promise<Watchdog> {
  const forms: readonly (readonly [string, string[]])[] = [
    ['/bin/sh', ['-c', SHELL_WATCH, 'diffkeeper-watchdog', String(group)]],
    [process.execPath, ['-e', NODE_WATCH, String(group)]],
  ];
  let reason: unknown;
  for (const [program, args] of forms) {
    try {
      // Detached: a signal to our group (Ctrl-C, an orchestrator's kill) must not end it.
      const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' });
      child.stdin.on('error', () => {});
      await once(child, 'spawn');
      child.unref();
      // Keeps the pipe open without keeping the event loop alive.
      (child.stdin as typeof child.stdin & { unref?: () => void }).unref?.();
      return {
        cover: (pids) => void child.stdin.write(`${pids.join(' ')}\n`),
        dismiss: () => void child.stdin.end('done\n'),
      };
    } catch (error) {
      reason = error;
    }
  }
  throw new DiffKeeperError('DK_SPAWN', 'cannot start the watchdog that freeze points need', {}, reason);
}
