/** Door of the room `core`: errors, limits, clock, log, file system, byte paths, semaphore, byte budget. */
export * from './byte-budget.js';
export * from './byte-path.js';
export * from './clock.js';
export * from './errors.js';
export * from './fs.js';
export * from './gzip-whole.js';
export * from './in-groups.js';
export * from './join-bytes.js';
export * from './lazy-builtins.js';
export * from './limits.js';
export * from './local-socket.js';
export * from './log.js';
export * from './resident-bytes.js';
export * from './semaphore.js';
export * from './unless-aborted.js';
export * from './whole-io.js';
