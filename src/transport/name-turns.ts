/** Turns by name: what one has open, others wait for. Who gives up leaves nothing behind. */
import { ByteBudget } from '../core/core.js';

interface Turns {
  readonly turn: ByteBudget;
  /** Those that have it, and those that wait. */
  users: number;
}

export class NameTurns {
  readonly #names = new Map<string, Turns>();

  /** Whether anybody has it, or waits for it. */
  has(name: string): boolean {
    return this.#names.has(name);
  }

  /**
   * Resolves when nobody else has the name, with what gives it back; at once (before anything else happens) where nobody
   * has it. Rejects with the reason of the signal.
   *
   * @param patienceMs after so long it goes on though others have it; default never
   */
  async take(name: string, signal?: AbortSignal, patienceMs?: number): Promise<() => void> {
    const turns = this.#names.get(name) ?? { turn: new ByteBudget(1), users: 0 };
    this.#names.set(name, turns);
    turns.users += 1;
    let give = (): void => {};
    let over = false;
    const end = (): void => {
      if (over) return;
      over = true;
      give();
      turns.users -= 1;
      if (turns.users === 0) this.#names.delete(name);
    };
    try {
      const alone = turns.users === 1 || patienceMs === undefined;
      give = await (alone ? turns.turn.take(1, signal) : patiently(turns.turn, signal, patienceMs));
    } catch (error) {
      end();
      throw error;
    }
    return end;
  }
}

/** Waits for a turn, but only so long: then it does without. */
async function patiently(turn: ByteBudget, signal: AbortSignal | undefined, ms: number): Promise<() => void> {
  const patience = new AbortController();
  const stop = (): void => patience.abort(signal?.reason);
  const timer = setTimeout(stop, ms);
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  try {
    return await turn.take(1, patience.signal);
  } catch (error) {
    if (signal?.aborted) throw error;
    return () => {};
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}
