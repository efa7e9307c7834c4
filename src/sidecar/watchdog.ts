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

export interface WatchdogTarget {
  /** Process group to resume; 0: none, only the processes that were named. */
  readonly group: number;
  /** File of a control group that freezes it; empty: none. */
  readonly freezeFile: string;
  /** Default 15. */
  readonly tickSeconds?: number;
}

/*
 * The input, line by line: `cover PID...` names the processes to resume; `hold`, `free`: the application stands still,
 * or goes on; `done` ends the watch. The end of input without `done` is our death. A clock of its own writes `tick`
 * between our lines. Processes come before the group, and children before their parents, so that no shell among them
 * sees a stopped child.
 */
const SHELL_WATCH = `extra=; held=0
resume() {
  for pid in $extra; do kill -CONT "$pid" 2>/dev/null; done
  [ "$group" = 0 ] || kill -CONT -"$group" 2>/dev/null
  [ -z "$file" ] || echo 0 2>/dev/null >"$file"
  held=0
}
group=$1; file=$2; tick=$3; max=$4
{
  (while sleep "$tick"; do echo tick; done) 2>/dev/null &
  cat
  kill $! 2>/dev/null
  echo; echo over
} | while read -r word rest; do
  case $word in
    cover) extra=$rest ;;
    hold) held=1 ;;
    free) held=0 ;;
    done) exit 0 ;;
    over) resume; exit 0 ;;
    tick) [ $held = 0 ] || held=$((held + 1)); [ $held -le "$max" ] || resume ;;
  esac
done`;

/** The same for images without a shell. */
const NODE_WATCH = `const {createInterface}=require('node:readline'),{writeFileSync}=require('node:fs');
const [group,file,tick,max]=process.argv.slice(1);let extra=[],held=0,over=false;
const send=(pid)=>{try{process.kill(pid,'SIGCONT')}catch{}};
const resume=()=>{extra.forEach(send);if(+group)send(-group);try{if(file)writeFileSync(file,'0')}catch{}held=0};
setInterval(()=>{if(held&&++held>+max)resume()},tick*1000).unref();
createInterface({input:process.stdin}).on('line',(line)=>{const [word,...rest]=line.split(' ');
if(word==='cover')extra=rest.map(Number).filter(Boolean);if(word==='hold')held=1;if(word==='free')held=0;
if(word==='done')over=true}).on('close',()=>{if(!over)resume()});`;

/** Starts the watchdog. Throws DK_SPAWN: without it nothing may be stopped. */
export async function startWatchdog(target: WatchdogTarget): Promise<Watchdog> {
  const watchdog = new Watchdog(target);
  await watchdog.ensure();
  return watchdog;
}

export class Watchdog {
  readonly #target: WatchdogTarget;
  #process: ChildProcess | undefined;
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

  /** Before a standstill: starts it again if it has ended, for somebody may have killed it. Throws DK_SPAWN. */
  async ensure(): Promise<void> {
    if (this.#process !== undefined || this.#dismissed) return;
    const { group, freezeFile, tickSeconds = TICK_SECONDS } = this.#target;
    const facts = [String(group), freezeFile, String(tickSeconds), String(TICKS_MAX)];
    const forms: readonly (readonly [string, string[]])[] = [
      ['/bin/sh', ['-c', SHELL_WATCH, 'diffkeeper-watchdog', ...facts]],
      [process.execPath, ['-e', NODE_WATCH, ...facts]],
    ];
    let reason: unknown;
    for (const [program, args] of forms) {
      try {
        // Detached: a signal to our group (Ctrl-C, an orchestrator's kill) must not end it.
        this.#adopt(await launch(program, args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' }));
        return;
      } catch (error) {
        reason = error;
      }
    }
    throw new DiffKeeperError('DK_SPAWN', 'cannot start the watchdog that freeze points need', {}, reason);
  }

  /** Processes that are to be resumed besides the group, children first; replaces the last list. */
  cover(pids: readonly number[]): void {
    this.#say(`cover ${pids.join(' ')}`);
  }

  /** From now on the application stands still, or is being stopped. */
  hold(): void {
    this.#say('hold');
  }

  /** The application goes on. */
  free(): void {
    this.#say('free');
  }

  /** Ends the watchdog without a signal to anyone: the application has ended. */
  dismiss(): void {
    this.#dismissed = true;
    this.#process?.stdin?.end('done\n');
  }

  #say(line: string): void {
    this.#process?.stdin?.write(`${line}\n`);
  }

  #adopt(child: ChildProcess): void {
    this.#process = child;
    const gone = (): void => {
      if (this.#process === child) this.#process = undefined;
    };
    child.once('exit', gone);
    child.stdin?.on('error', gone);
    child.unref();
    // Keeps the pipe open without keeping the event loop alive.
    (child.stdin as typeof child.stdin & { unref?: () => void })?.unref?.();
  }
}
