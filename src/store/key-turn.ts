/**
 * One change of a store's key files at a time, also while another process has the store: a name that the system takes
 * back when its holder ends, so that nothing of a killed one stands in the way. Linux; elsewhere, and between containers
 * that share the store and no network, the bytes are compared once more before they are written (`store-keyring.ts`).
 */
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { DiffKeeperError, fromSystemError, holdName } from '../core/core.js';

/** A change stretches two passphrases at most through each slot: seconds. */
const WAIT_MS = 60_000;
const PAUSE_MS = 25;

/** Null when it is another's turn and still is after `waitMs`. Throws DK_IO, and what the work throws. */
async function tryInTurn<T>(
  root: string,
  waitMs: number,
  work: () => Promise<T>,
): Promise<{ readonly done: T } | null> {
  const { dev, ino } = await stat(root, { bigint: true }).catch((error: unknown) => {
    throw fromSystemError(error, 'look at', root);
  });
  const endMs = performance.now() + waitMs;
  for (;;) {
    const held = await holdName(`diffkeeper/keys/${dev}:${ino}`);
    if (held) {
      try {
        return { done: await work() };
      } finally {
        await held.release();
      }
    }
    if (performance.now() >= endMs) return null;
    await sleep(PAUSE_MS);
  }
}

/** Does a change that begins with reading the key files. Throws DK_STORE_LOCKED when another one takes a minute. */
export async function changeKeys<T>(root: string, work: () => Promise<T>): Promise<T> {
  const ended = await tryInTurn(root, WAIT_MS, work);
  if (ended) return ended.done;
  throw keysBusy(root);
}

export function keysBusy(root: string): DiffKeeperError {
  return new DiffKeeperError('DK_STORE_LOCKED', `another process is changing the keys of ${root}`, { path: root });
}

/** Does something that a change makes needless, unless one is going on. */
export async function unlessKeysChange(root: string, work: () => Promise<void>): Promise<void> {
  await tryInTurn(root, 0, work);
}
