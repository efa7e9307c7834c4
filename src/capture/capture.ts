/** Door of the room `capture`: bytes from the state directory into the store (BlueShift). */
import type { Store } from '../store/store.js';
import { StateSession } from './capture-session.js';
import type { CaptureOptions, CaptureReport, CaptureSession, StateWatcher, WatchOptions } from './types.js';

export { NOTHING_LEFT_OUT } from './left-out.js';
export { LeftOutWarnings } from './left-out-warnings.js';
export { identify } from './state-location.js';
export type * from './types.js';

/**
 * Opens a state directory for repeated captures. Throws DK_STATE_DIR when it is missing, unreadable or lies inside
 * the store, TypeError or RangeError for wrong options. Close the session before the store.
 */
export function openCaptureSession(
  store: Store,
  stateDir: string,
  options: CaptureOptions = {},
): Promise<CaptureSession> {
  return StateSession.open(store, stateDir, options);
}

/**
 * Takes what changed since the newest checkpoint, once. `tag` names the checkpoint and makes one even when nothing
 * changed. Errors as `openCaptureSession`; DK_DISK_FULL, DK_IO and DK_ABORTED leave the store as it was.
 */
export async function capture(store: Store, stateDir: string, options: CaptureOptions = {}): Promise<CaptureReport> {
  const session = await StateSession.open(store, stateDir, options);
  try {
    return await session.capture(options.tag === undefined ? {} : { tag: options.tag });
  } finally {
    await session.close();
  }
}

/**
 * Watches a state directory and captures every change within `maxLagMs`. Resolves when the watches stand; the first
 * capture follows at once, and the state turns from `starting` to `watching` when it is done.
 */
export async function watch(store: Store, stateDir: string, options: WatchOptions = {}): Promise<StateWatcher> {
  // Loaded when it is needed: a single capture must not pay for the watching library.
  const { WatchLoop } = await import('./watch-loop.js');
  return WatchLoop.start(store, stateDir, options);
}
