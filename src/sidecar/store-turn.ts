/**
 * The store of a sidecar that starts while another process has it. Commands that look at a store which nobody keeps own
 * it until they end, and none of them is a reason not to start the application; another sidecar or a watch is.
 */
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { storeSocket } from '../control/control.js';
import {
  connectLocal,
  DiffKeeperError,
  isDiffKeeperError,
  type Logger,
  throwIfAborted,
  unlessAborted,
} from '../core/core.js';
import { importedStorePath, type OpenOptions, openStoreOrImport } from '../migrate/migrate.js';
import { isStoreKept, type Store } from '../store/store.js';

/** How long the start of an application waits for another process to give the store back, ms. */
export const STORE_WAIT_MS = 10_000;
const PAUSE_MS = 100;
/** How long the owner is given to say whether it keeps the store, ms: one that rebuilds it answers no questions meanwhile. */
const ANSWER_MS = 2000;

export interface TurnOptions {
  readonly logger: Logger;
  /** Ends the waiting with DK_ABORTED. */
  readonly signal: AbortSignal;
  /** Default `STORE_WAIT_MS`. */
  readonly waitMs?: number;
}

/** Opens the store as `openStoreOrImport` does, and waits for it. @throws as that, DK_ABORTED */
export async function openInTurn(root: string, options: OpenOptions, turn: TurnOptions): Promise<Store> {
  const { logger, signal, waitMs = STORE_WAIT_MS } = turn;
  const endMs = performance.now() + waitMs;
  for (let told = false; ; ) {
    try {
      return await openStoreOrImport(root, { ...options, logger });
    } catch (error) {
      if (!isDiffKeeperError(error, 'DK_STORE_LOCKED')) throw error;
      if (await unlessAborted(isKept(root, endMs - performance.now()), signal)) {
        throw refusal(error, 'and keeps it for a sidecar or a watch: end that one first, or use another store');
      }
      if (performance.now() >= endMs) throw refusal(error, lateAdvice(waitMs));
      if (!told) {
        const { pid } = error.facts;
        logger.warn({ ...(pid !== undefined && { pid }), upToMs: waitMs }, `waiting for the store: ${error.message}`);
      }
      told = true;
    }
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => throwIfAborted(signal));
  }
}

function lateAdvice(waitMs: number): string {
  const what = 'what only reads, as a long `verify`, is better started after the sidecar, which lets it read';
  return `and was not given back (waited ${waitMs / 1000} s): end it, or start again when it is done; ${what}`;
}

function refusal(error: DiffKeeperError, advice: string): DiffKeeperError {
  return new DiffKeeperError('DK_STORE_LOCKED', `${error.message}, ${advice}`, error.facts, error);
}

/** Whether a sidecar or a watch has it. One that has just started cannot be told yet: it is found at the next look. */
async function isKept(root: string, leftMs: number): Promise<boolean> {
  const isFile = await stat(root).then(
    (facts) => facts.isFile(),
    () => false,
  );
  const place = isFile ? importedStorePath(root) : root;
  if (await isStoreKept(place, Math.max(1, Math.min(ANSWER_MS, leftMs)))) return true;
  // Whole-file snapshots are not shared; their sidecar listens nevertheless.
  const address = storeSocket(place);
  const socket = address?.kind === 'socket' ? await connectLocal(address.path) : null;
  socket?.destroy();
  return socket !== null;
}
