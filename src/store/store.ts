/** Door of the room `store`: packs, metadata, commit, reading back, verification. */
export { openStore } from './open-store.js';
export { readSealedFile, writeSealedFile } from './sealed-file.js';
export { computeTreeRoot } from './tree-root.js';
export * from './types.js';
