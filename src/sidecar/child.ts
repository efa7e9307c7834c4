/** Starts programs: the application, the watchdog, hooks. The only importer of `node:child_process`. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { DiffKeeperError, systemCode } from '../core/core.js';
import { loadProcessCalls } from '../engine/load.js';
import { EXIT_CODES, signalExitCode } from './exit-codes.js';
import { startByCalls } from './own-start.js';
import { HELPER_MARK, MARK_VARIABLE } from './proc.js';
import type { ChildEnd } from './types.js';

export type { ChildProcess };

/** A running application. */
export interface Child {
  readonly pid: number;
  /** Resolves when the process has ended; never rejects. */
  readonly ended: Promise<ChildEnd>;
  /** Whether it has ended, as far as is known. */
  readonly gone: boolean;
  /** Sends a signal to the process, or to its whole group when it leads one and `group` is set; false when it is gone. */
  signal(name: NodeJS.Signals, group?: boolean): boolean;
}

export interface ChildOptions {
  readonly command: readonly string[];
  /** Own session and process group, so that the group can be stopped without stopping us. */
  readonly ownGroup: boolean;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string | undefined;
  /** Wraps the moment of the start, for what a process inherits from us. Default: nothing around it. */
  readonly around?: <T>(start: () => T) => T;
}

/** Exit code for a command that could not be started: 127 not found, 126 anything else. */
export function spawnFailureCode(error: unknown): number {
  const cause = error instanceof DiffKeeperError ? error.cause : error;
  return systemCode(cause) === 'ENOENT' ? EXIT_CODES.notFound : EXIT_CODES.cannotExecute;
}

/**
 * Just before each start, and not once: LevelDB opens files of the store all the time, for writing, and they would be handed
 * on. What the application leaves running would keep them open for good. Without the addon there is no such call.
 */
function keepDescriptors(): void {
  loadProcessCalls()?.closeOnExec(3);
}

/** Starts a program of our own and waits until it runs. It does not belong to the application. Throws the system's error. */
export async function launch(program: string, args: readonly string[], options: SpawnOptions): Promise<ChildProcess> {
  keepDescriptors();
  const env = { ...(options.env ?? process.env), [MARK_VARIABLE]: HELPER_MARK };
  const child = spawn(program, args, { shell: false, ...options, env });
  await once(child, 'spawn');
  return child;
}

/** Starts the command with our stdin, stdout and stderr. Throws DK_SPAWN with the system's error as cause. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const [program = ''] = options.command;
  const around = options.around ?? ((start) => start());
  try {
    const own = around(() => {
      keepDescriptors();
      return program === '' ? undefined : startByCalls(options);
    });
    return own ?? (await startByNode(options, around));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DiffKeeperError('DK_SPAWN', `cannot start ${program}: ${reason}`, { name: program }, error);
  }
}

async function startByNode(
  { command: [program = '', ...args], env, cwd, ownGroup }: ChildOptions,
  around: NonNullable<ChildOptions['around']>,
): Promise<Child> {
  const child = around(() => {
    keepDescriptors();
    const where = cwd === undefined ? {} : { cwd };
    return spawn(program, args, { stdio: 'inherit', shell: false, detached: ownGroup, env, ...where });
  });
  // Subscribed before anything is awaited: a quick child must not end unseen.
  const ended = new Promise<ChildEnd>((resolve) => {
    child.once('exit', (code, signalName) => resolve(childEnd(code, signalName)));
  });
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error('it has no process id');
  const signal = (name: NodeJS.Signals, group = false): boolean => {
    if (!group || !ownGroup || child.exitCode !== null) return child.kill(name);
    return signalGroup(pid, name);
  };
  return {
    pid,
    ended,
    signal,
    get gone() {
      return child.exitCode !== null || child.signalCode !== null;
    },
  };
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
