/** Ends a session of which nothing more is wanted, without waiting for a side that does not answer. */
import { DiffKeeperError } from '../core/core.js';
import type { Session } from './types.js';

/** The other side may be silent for as long as its keepalive allows: nobody should wait for that. */
const GRACE_MS = 1000;

/** Closes in order, or at once when that takes longer than `graceMs` (default one second). Never rejects. */
export async function closeSoon(session: Session, graceMs = GRACE_MS): Promise<void> {
  const silent = new DiffKeeperError('DK_CONNECTION', 'the other side did not answer when the session was to end');
  const timer = setTimeout(() => session.destroy(silent), graceMs);
  await session.close().catch(() => {});
  clearTimeout(timer);
}
