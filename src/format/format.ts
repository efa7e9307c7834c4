/** Door of the room `format`: bytes <-> types, pure. Normative text: `docs/format.md`. */
export * from './bytes.js';
export * from './checkpoint-codec.js';
export * from './dense-group.js';
export * from './dense-records.js';
export * from './dense-unfold.js';
export * from './digest-key.js';
export * from './extents-codec.js';
export * from './lent-identity.js';
export * from './link-key.js';
export * from './marker.js';
export * from './prune-codec.js';
export * from './record.js';
export * from './types.js';
export * from './version-codec.js';
export * from './version-trouble.js';
