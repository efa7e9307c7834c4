/** Who may exchange records with other stores. */
import { DiffKeeperError } from '../core/core.js';
import type { StoreExchange } from './exchange-types.js';
import { OpenedStore } from './opened-store.js';
import type { Store } from './types.js';

/** @throws DK_UNSUPPORTED for a store without history (schema 1) */
export function exchangeOf(store: Store): StoreExchange {
  if (store instanceof OpenedStore) return store.exchange();
  throw new DiffKeeperError('DK_UNSUPPORTED', `the store ${store.path} keeps no history: migrate it to schema 2 first`);
}
