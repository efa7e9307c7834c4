/** Whether the stores of a workload are encrypted, and how both are opened. */
import type { StoreKey, StoreOptions } from '../../src/store/store.js';

/** A key file's: a passphrase would be stretched at each of some thousand openings. */
export const CRASH_KEY: StoreKey = { keyBytes: Buffer.alloc(32, 'k') };

/** Name of the workload that does the same to an encrypted store. */
export function encryptedName(workload: string): string {
  return `encrypted-${workload}`;
}

export function storeOptions(encrypted: boolean): StoreOptions {
  return encrypted ? { encrypt: true, key: CRASH_KEY } : {};
}
