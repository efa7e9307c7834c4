/** Door of the room `crypt`: authenticated encryption, the keys of a store, and what opens them. */

export {
  decodeRing,
  encodeRing,
  type KeyRing,
  type KeySlot,
  newMasterKey,
  openRing,
  SLOTS_MAX,
  withSlot,
} from './key-slots.js';
export { KEY_FILE_BYTES, type KeyKind, type StoreKey } from './key-source.js';
export { epochOf, masterKeys, type Rotation, rotatedRing, withoutOlder } from './master-keys.js';
export { SEAL_BYTES, Sealer } from './sealer.js';
export { Namer, type StoreKeys, storeKeys } from './store-keys.js';
