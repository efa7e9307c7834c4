/**
 * The threads that read, compare, code and store give way to the application where there are not processors enough for
 * both. Our main thread does not: what it starts would inherit that, and an unprivileged process cannot take it back.
 */
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** Niceness of these threads: a tenth of the share of one that has 0. */
export const THREAD_NICENESS = 10;

/** Lowers all threads but the main one; those that they start later inherit it. Linux only; nothing elsewhere. */
export function giveWay(): void {
  if (process.platform !== 'linux') return;
  for (const name of readdirSync('/proc/self/task')) {
    const thread = Number(name);
    if (thread === process.pid) continue;
    try {
      if (getPriority(thread) < THREAD_NICENESS) setPriority(thread, THREAD_NICENESS);
    } catch {
      // It has ended, or we are not allowed to: then it keeps what it has.
    }
  }
}
