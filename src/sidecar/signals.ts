/** Signals that reach us and belong to the application. */
import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';

/** Passed on to the child. */
export const FORWARDED = [
  'SIGTERM',
  'SIGINT',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGWINCH',
] as const satisfies readonly NodeJS.Signals[];

/** Signals that a terminal sends to its whole foreground group by itself. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH'];

/** Those that ask a program to end. */
const ENDING: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'];

/** Whether our process group is the foreground group of a terminal: Ctrl-C then reaches a child of the same group too. */
function isForeground(): boolean {
  try {
    const line = readFileSync('/proc/self/stat', 'latin1');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return fields[2] === fields[5];
  } catch {
    return isatty(0);
  }
}

/**
 * How the child gets a signal: itself; with all processes of its group, as a terminal does it; or it has received it already,
 * from the terminal that sent it to us.
 */
export type SignalWay = 'process' | 'group' | 'received';

/** Hands a signal to the child. */
export type SendSignal = (name: NodeJS.Signals, how: SignalWay) => void;

/** Where signals go: to us until the child runs, then to the child. */
export class SignalRelay {
  readonly #handlers = new Map<NodeJS.Signals, () => void>();
  readonly #onEnding: (name: NodeJS.Signals) => void;
  #send: SendSignal | undefined;
  #sharesGroup = false;

  /** @param onEnding told of an ending signal while no child is attached */
  constructor(onEnding: (name: NodeJS.Signals) => void) {
    this.#onEnding = onEnding;
    for (const name of FORWARDED) {
      const handler = (): void => this.#receive(name);
      this.#handlers.set(name, handler);
      process.on(name, handler);
    }
  }

  /** From now on signals go to the child. */
  attach(send: SendSignal, options: { readonly sharesGroup: boolean }): void {
    this.#send = send;
    this.#sharesGroup = options.sharesGroup;
  }

  /** The child has ended and another may follow: an ending signal is ours again. */
  release(): void {
    this.#send = undefined;
  }

  /** The child has ended: signals are taken and dropped, so that the final capture is not cut short. */
  detach(): void {
    this.#send = () => {};
  }

  /** Gives the signals back to whoever had them. */
  close(): void {
    for (const [name, handler] of this.#handlers) process.off(name, handler);
  }

  #receive(name: NodeJS.Signals): void {
    if (this.#send === undefined) {
      if (ENDING.includes(name)) this.#onEnding(name);
      return;
    }
    const fromTerminal = FROM_TERMINAL.includes(name) && isForeground();
    // The kernel has given it to the child already; a second Ctrl-C would mean "at once" to many programs.
    if (fromTerminal && this.#sharesGroup) this.#send(name, 'received');
    else this.#send(name, fromTerminal ? 'group' : 'process');
  }
}
