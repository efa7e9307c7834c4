/** Waiting that ends at once when somebody calls it off. */
import { DiffKeeperError } from './errors.js';

/** What the work gives, or DK_ABORTED as soon as the signal fires: the work itself runs on and its result is dropped. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new DiffKeeperError('DK_ABORTED', 'the operation was aborted', {}, signal.reason));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
