/** Commands of the user's around each checkpoint. */
import { DiffKeeperError, type Logger, systemClock } from '../core/core.js';
import { type ChildProcess, launch } from './child.js';
import type { Figures, HookName, HookOutcome } from './figures.js';

/** What a command may say that is kept for the log, bytes. */
const OUTPUT_BYTES = 4096;

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
  /** False once the application has ended: there is nobody left to be told. */
  enabled = true;

  constructor(options: HookOptions) {
    this.#options = options;
  }

  get present(): boolean {
    return this.#options.before !== undefined || this.#options.after !== undefined;
  }

  /** Throws DK_HOOK when it fails: then no checkpoint is taken, for it might not be what the user wants kept. */
  async before(): Promise<void> {
    const { before } = this.#options;
    if (before === undefined || !this.enabled) return;
    const failure = await this.#run('before-checkpoint', before);
    if (failure !== undefined) throw new DiffKeeperError('DK_HOOK', failure, { name: 'before-checkpoint' });
  }

  /** Its failure is logged: the bytes are taken. */
  async after(): Promise<void> {
    const { after, logger } = this.#options;
    if (after === undefined || !this.enabled) return;
    const failure = await this.#run('after-checkpoint', after);
    if (failure !== undefined) logger.error({ hook: 'after-checkpoint' }, failure);
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
      const end = await ending(child, timeoutMs);
      outcome = end === 'timeout' ? 'timeout' : end === 0 ? 'ok' : 'failed';
      if (end === 'timeout') failure = `the ${name} command took longer than ${timeoutMs} ms and was killed`;
      else if (end !== 0) failure = `the ${name} command ended with ${end}`;
    } catch (error) {
      failure = `the ${name} command cannot be started: ${error instanceof Error ? error.message : String(error)}`;
    }
    const elapsedMs = systemClock.steadyMs() - startMs;
    figures.hookDone(name, outcome, elapsedMs);
    const said = output.trim();
    logger.debug({ hook: name, outcome, elapsedMs, ...(said !== '' && { output: said }) }, 'hook');
    return failure === undefined || said === '' ? failure : `${failure}: ${said}`;
  }
}

/** How it ended: exit code, name of a signal, or `timeout`. */
function ending(child: ChildProcess, timeoutMs: number): Promise<number | string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve('timeout');
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It ended in this moment.
      }
    }, timeoutMs);
    // Not `close`: something that it left running in the background may keep its output open for ever.
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      resolve(signal ?? code ?? 'unknown');
    });
  });
}
