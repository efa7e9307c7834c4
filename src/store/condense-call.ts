/** The public function for `Store.condense`. */
import type { CondenseOptions, CondenseReport, Store } from './types.js';

/** See `Store.condense`. */
export function condense(store: Store, options: CondenseOptions = {}): Promise<CondenseReport> {
  return store.condense(options);
}
