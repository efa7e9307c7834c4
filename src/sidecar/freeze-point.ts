/** A freeze point with the user's commands around it. */
import type { WatchOptions } from '../capture/capture.js';
import type { Freezer } from './freeze.js';
import type { Heap } from './heap.js';
import type { Hooks } from './hooks.js';

/** What a watcher calls around each capture; without `freezer` nothing is stopped. */
export function freezePoint(hooks: Hooks, heap: Heap, freezer?: Freezer): NonNullable<WatchOptions['freeze']> {
  return async () => {
    try {
      await hooks.before();
      if (freezer) heap.tidy();
      const frozen = await freezer?.freeze();
      return {
        ...(frozen && { rescan: frozen.rescan }),
        thaw: async () => {
          try {
            return await frozen?.thaw();
          } finally {
            await hooks.after();
          }
        },
      };
    } catch (error) {
      // What the first command has begun, the second one ends, whatever came between.
      await hooks.after();
      throw error;
    }
  };
}
