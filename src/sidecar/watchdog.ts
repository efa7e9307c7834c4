/**
 * A process of its own that lets the application go on, should we die, or hang, while it stands still. It hears of
 * everything through a pipe: the kernel closes that when we are gone, also after SIGKILL.
 */
import { DiffKeeperError } from '../core/core.js';
import { type ChildProcess, launch } from './child.js';

/** The watchdog's clock, seconds: it counts these while the application stands still. */
const TICK_SECONDS = 15;
/** After so many of them it lets the application go on by itself: longer than any pause that we allow. */
const TICKS_MAX = 5;

/** How long it may take to start, ms. */
const START_MS = 10_000;

export interface WatchdogTarget {
  /** File of a control group that freezes it; empty: none. */
  readonly freezeFile: string;
  /** Default 15. */
  readonly tickSeconds?: number;
}

/*
 * It says `ready` once it listens. The input, line by line: `cover PID...` names the processes and (negative) the group to
 * resume; `hold PID`, `free`: the application stands still, or goes on; `done` ends the watch. The end of input without `done`
 * is our death: everybody goes on, and the process named with `hold` (`group-anchor.ts`) ends after that. A clock of its own writes `tick` between our lines. Processes come before the group, and children before
 * their parents, so that no shell among them sees a stopped child.
 *
 * What it is about comes through its environment: its command line must not carry our name, or who kills us by name
 * (`pkill -9 -f`) while the application stands still kills it as well.
 */
const SHELL_WATCH = `extra=; held=0; anchor=
resume() {
  for pid in $extra; do kill -CONT "$pid" 2>/dev/null; done
  [ -z "$WATCH_FILE" ] || echo 0 2>/dev/null >"$WATCH_FILE"
  held=0
}
{
  (while sleep "$WATCH_TICK"; do echo tick; done) 2>/dev/null &
  cat
  kill $! 2>/dev/null
  echo; echo over
} | { echo ready; while read -r word rest; do
  case $word in
    cover) extra=$rest ;;
    hold) held=1; anchor=$rest ;;
    free) held=0; anchor= ;;
    done) exit 0 ;;
    over) resume; [ -z "$anchor" ] || kill -KILL "$anchor" 2>/dev/null; exit 0 ;;
    tick) [ $held = 0 ] || held=$((held + 1)); [ $held -le "$WATCH_TICKS_MAX" ] || resume ;;
  esac
done; }`;

/** The same for images without a shell. */
const NODE_WATCH = `const {createInterface}=require('node:readline'),{writeFileSync}=require('node:fs');
const {WATCH_FILE:file,WATCH_TICK:tick,WATCH_TICKS_MAX:max}=process.env;let extra=[],held=0,over=false,anchor=0;
const send=(pid,name)=>{try{process.kill(pid,name)}catch{}};
const resume=()=>{extra.forEach((pid)=>send(pid,'SIGCONT'));try{if(file)writeFileSync(file,'0')}catch{}held=0};
setInterval(()=>{if(held&&++held>+max)resume()},tick*1000).unref();
createInterface({input:process.stdin}).on('line',(line)=>{const [word,...rest]=line.split(' ');
if(word==='cover')extra=rest.map(Number).filter(Boolean);if(word==='hold'){held=1;anchor=Number(rest[0])}if(word==='free')held=anchor=0;
if(word==='done')over=true}).on('close',()=>{if(over)return;resume();if(anchor)send(anchor,'SIGKILL')});console.log('ready')`;

/** Starts the watchdog. Throws DK_SPAWN: without it nothing may be stopped. */
export async function startWatchdog(target: WatchdogTarget): Promise<Watchdog> {
  const watchdog = new Watchdog(target);
  await watchdog.ensure();
  return watchdog;
}

export class Watchdog {
  readonly #target: WatchdogTarget;
  #process: ChildProcess | undefined;
  #starting: Promise<void> | undefined;
  #holding = false;
  #dismissed = false;

  constructor(target: WatchdogTarget) {
    this.#target = target;
  }

  /** Whether it runs. */
  get alive(): boolean {
    return this.#process !== undefined;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /**
   * Before a standstill: starts it, also again when it has ended, for somebody may have killed it. Throws DK_SPAWN when it
   * cannot be started, or has been dismissed: nothing may be stopped then.
   */
  async ensure(): Promise<void> {
    if (this.#dismissed)
      throw new DiffKeeperError('DK_SPAWN', 'the watchdog that freeze points need has been dismissed');
    if (this.#process !== undefined) return;
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    await this.#starting;
  }

  async #start(): Promise<void> {
    const { freezeFile, tickSeconds = TICK_SECONDS } = this.#target;
    const facts = { WATCH_FILE: freezeFile, WATCH_TICK: String(tickSeconds), WATCH_TICKS_MAX: String(TICKS_MAX) };
    const env = { ...process.env, ...facts };
    const forms: readonly (readonly [string, string[]])[] = [
      ['/bin/sh', ['-c', SHELL_WATCH]],
      [process.execPath, ['-e', NODE_WATCH]],
    ];
    let reason: unknown;
    for (const [program, args] of forms) {
      if (this.#dismissed) break;
      try {
        // Detached: a signal to our group (Ctrl-C, an orchestrator's kill) must not end it.
        const child = await launch(program, args, { stdio: ['pipe', 'pipe', 'ignore'], detached: true, cwd: '/', env });
        await listening(child);
        if (this.#dismissed) {
          child.stdin?.end('done\n');
          throw new Error('it was dismissed while it was started');
        }
        this.#adopt(child);
        return;
      } catch (error) {
        reason = error;
      }
    }
    throw new DiffKeeperError('DK_SPAWN', 'cannot start the watchdog that freeze points need', {}, reason);
  }

  /** Processes that are to be resumed, children first, and (negative) groups; replaces the last list. */
  cover(targets: readonly number[]): void {
    this.#say(`cover ${targets.join(' ')}`);
  }

  /** From now on the application stands still, or is being stopped. `anchor`: ends once it goes on without us. */
  hold(anchor?: number): void {
    this.#holding = true;
    this.#say(anchor === undefined ? 'hold' : `hold ${anchor}`);
  }

  /** The application goes on. */
  free(): void {
    this.#holding = false;
    this.#say('free');
  }

  /** We cannot let the application go on: it does, at once, and ends. */
  takeOver(): void {
    this.#holding = false;
    this.#process?.stdin?.destroy();
    this.#process = undefined;
  }

  /** Ends the watchdog; whoever stands still is let go first. */
  dismiss(): void {
    this.#dismissed = true;
    if (this.#holding) this.takeOver();
    else this.#process?.stdin?.end('done\n');
  }

  #say(line: string): void {
    this.#process?.stdin?.write(`${line}\n`);
  }

  #adopt(child: ChildProcess): void {
    const gone = (): void => {
      if (this.#process === child) this.#process = undefined;
    };
    child.once('exit', gone);
    child.stdin?.on('error', gone);
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('it ended at once');
    this.#process = child;
    child.unref();
    // Keeps the pipe open without keeping the event loop alive.
    (child.stdin as typeof child.stdin & { unref?: () => void })?.unref?.();
  }
}

/** Waits until it listens: what could not start all of its parts must not be relied upon. Throws when it does not. */
function listening(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      child.stdout?.destroy();
      if (error) {
        child.stdin?.destroy();
        child.kill('SIGKILL');
        reject(error);
      } else resolve();
    };
    const timer = setTimeout(() => finish(new Error(`it did not listen within ${START_MS} ms`)), START_MS);
    child.stdin?.on('error', () => {});
    child.stdout?.once('data', () => finish());
    child.once('exit', () => finish(new Error('it ended at once')));
  });
}
