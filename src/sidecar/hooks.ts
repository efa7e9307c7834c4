/** Commands of the user's around each checkpoint. */
import { DiffKeeperError, type Logger, systemClock } from '../core/core.js';
import { loadProcessCalls } from '../engine/load.js';
import { type ChildProcess, launch } from './child.js';
import type { Figures, HookName, HookOutcome } from './figures.js';
import { processFacts } from './proc.js';

/** What a command may say that is kept for the log, bytes. */
const OUTPUT_BYTES = 4096;
/** A command that takes longer is worth a line in the log also when it says nothing, ms. */
const LONG_MS = 1000;
/** How long the command after a checkpoint may take once the application has ended, ms: the last capture waits for it. */
const END_MS = 2000;

type Killed = 'timeout' | 'over';

export interface HookOptions {
  readonly before?: string;
  readonly after?: string;
  /** Each command is ended after this time, ms. */
  readonly timeoutMs: number;
  /** Handed to the commands as variables. */
  readonly facts: { readonly stateDir: string; readonly store: string };
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
  readonly figures: Figures;
}

export class Hooks {
  readonly #options: HookOptions;
  /** The application has ended: there is nobody left to be told. */
  #over = false;
  /** The first command has begun what the second one is to end. */
  #begun = false;
  #running: { readonly name: HookName; readonly hook: RunningHook } | undefined;

  constructor(options: HookOptions) {
    this.#options = options;
  }

  get present(): boolean {
    return this.#options.before !== undefined || this.#options.after !== undefined;
  }

  /** Throws DK_HOOK when it fails: then no checkpoint is taken, for it might not be what the user wants kept. */
  async before(): Promise<void> {
    const { before } = this.#options;
    if (before === undefined || this.#over) return;
    this.#begun = true;
    const failure = await this.#run('before-checkpoint', before);
    if (failure !== undefined) throw new DiffKeeperError('DK_HOOK', failure, { name: 'before-checkpoint' });
  }

  /** Its failure is logged: the bytes are taken. */
  async after(): Promise<void> {
    const { after, logger } = this.#options;
    const begun = this.#begun;
    this.#begun = false;
    // What was begun is ended also when the application is not there any more: a file system may be frozen.
    if (after === undefined || (this.#over && !begun)) return;
    const failure = await this.#run('after-checkpoint', after);
    if (failure !== undefined) logger.error({ hook: 'after-checkpoint' }, failure);
  }

  /**
   * The application has ended. No command begins another checkpoint, one that is about to is killed, and the one that ends
   * it gets two seconds at most, so that the last capture is not late.
   */
  end(): void {
    this.#over = true;
    this.#hasten();
  }

  /**
   * Throws DK_WITHIN_HOOK when the command that runs now, or what it has started, asks by this connection: a checkpoint that
   * waited for the one under way would wait for that very command. Where nobody can tell who asks, anybody might be it.
   */
  assertNotWithin(descriptor: number): void {
    if (!this.#running) return;
    const { name, hook } = this.#running;
    const calls = descriptor < 0 ? undefined : loadProcessCalls();
    if (calls && !isBelow(hook.pid, calls.peerProcess(descriptor))) return;
    const who = calls ? 'which asks for it' : 'which may be who asks for it; try again when it has ended';
    throw new DiffKeeperError(
      'DK_WITHIN_HOOK',
      `no checkpoint now: it would wait for the end of the ${name} command, ${who}`,
      { name },
    );
  }

  #hasten(): void {
    if (!this.#over || !this.#running) return;
    const { name, hook } = this.#running;
    if (name === 'before-checkpoint') hook.killIn(0, 'over');
    else hook.killIn(Math.min(END_MS, this.#options.timeoutMs), 'timeout');
  }

  /** Runs a command; gives what went wrong. */
  async #run(name: HookName, command: string): Promise<string | undefined> {
    const { timeoutMs, facts, env, logger, figures } = this.#options;
    const startMs = systemClock.steadyMs();
    let output = '';
    let outcome: HookOutcome = 'failed';
    let failure: string | undefined;
    try {
      const variables = { DIFFKEEPER_STATE_DIR: facts.stateDir, DIFFKEEPER_STORE: facts.store, DIFFKEEPER_HOOK: name };
      const child = await launch('/bin/sh', ['-c', command], {
        stdio: ['ignore', 'pipe', 'pipe'],
        // A group of its own: what it has started ends with it.
        detached: true,
        env: { ...env, ...variables },
      });
      for (const stream of [child.stdout, child.stderr]) {
        stream?.on('data', (part: Buffer) => {
          output = (output + part.toString('utf8')).slice(-OUTPUT_BYTES);
        });
      }
      const hook = new RunningHook(child);
      hook.killIn(timeoutMs, 'timeout');
      this.#running = { name, hook };
      this.#hasten();
      const end = await hook.ended;
      outcome = end === 'timeout' ? 'timeout' : end === 0 ? 'ok' : 'failed';
      const allowedMs = this.#over ? Math.min(END_MS, timeoutMs) : timeoutMs;
      if (end === 'timeout') failure = `the ${name} command took longer than ${allowedMs} ms and was killed`;
      else if (end === 'over') failure = `the application has ended: the ${name} command was killed`;
      else if (end !== 0) failure = `the ${name} command ended with ${end}`;
    } catch (error) {
      failure = `the ${name} command cannot be started: ${error instanceof Error ? error.message : String(error)}`;
    }
    this.#running = undefined;
    const elapsedMs = systemClock.steadyMs() - startMs;
    figures.hookDone(name, outcome, elapsedMs);
    const said = output.trim();
    // A failure is told by whoever it concerns. One that went well, quickly and silently, once a second, is no news.
    const news = outcome === 'ok' && (said !== '' || elapsedMs >= LONG_MS);
    logger[news ? 'info' : 'debug']({ hook: name, outcome, elapsedMs, ...(said !== '' && { output: said }) }, 'hook');
    return failure === undefined || said === '' ? failure : `${failure}: ${said}`;
  }
}

/** Whether a process is a command's, which leads a session: of the session, or a descendant that has left it. */
function isBelow(leader: number, pid: number): boolean {
  for (let at = pid; at > 1; ) {
    const facts = processFacts(at);
    if (at === leader || facts?.session === leader) return true;
    if (facts === undefined || facts.parent === process.pid) return false;
    at = facts.parent;
  }
  return false;
}

/** A command under way. */
class RunningHook {
  readonly #child: ChildProcess;
  #timer: NodeJS.Timeout | undefined;
  #resolve: (end: number | string) => void = () => {};
  /** How it ended: exit code, name of a signal, or why it was killed; that is not waited for, for it may hang in the kernel. */
  readonly ended: Promise<number | string>;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    // Not `close`: something that it left running in the background may keep its output open for ever.
    child.once('exit', (code, signal) => {
      clearTimeout(this.#timer);
      this.#resolve(signal ?? code ?? 'unknown');
    });
  }

  /** It leads a group and a session of its own. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Kills it, with all that it started, in so many milliseconds. */
  killIn(ms: number, why: Killed): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#resolve(why);
      try {
        if (this.#child.pid !== undefined) process.kill(-this.#child.pid, 'SIGKILL');
      } catch {
        // It ended in this moment.
      }
    }, ms);
  }
}
