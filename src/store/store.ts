/** Door of the room `store`: packs, metadata, commit, reading back, verification. */
export type { KeyKind, StoreKey } from '../crypt/crypt.js';
export type { CacheGuard } from './cache-guard.js';
export { condense } from './condense-call.js';
export { exchangeOf } from './exchange-of.js';
export * from './exchange-types.js';
export { type KeyRotation, type RotateOptions, rotateStoreKey } from './key-rotation.js';
export { findSnapshots, markMigrated, openSnapshotStore, snapshotPaths } from './open-snapshots.js';
export { openStore } from './open-store.js';
export { type ShareOptions, type Sharing, shareStore } from './owner-service.js';
export { checkPolicy, keptSequences, type PrunePolicy, prune } from './prune-policy.js';
export * from './reading-types.js';
export { RUNNING_PREFIX, readRunningNote } from './running-note.js';
export { readSealedFile, writeSealedFile } from './sealed-file.js';
export { isStoreKept, openSharedStore, tagSharedStore } from './shared-store.js';
export type { SnapshotStore } from './snapshot-store.js';
export type { SnapshotFacts } from './snapshot-tables.js';
export {
  addStoreKey,
  changeStoreKey,
  listStoreKeys,
  removeStoreKey,
  type StoreKeyFacts,
} from './store-keyring.js';
export { computeTreeRoot } from './tree-root.js';
export * from './types.js';
