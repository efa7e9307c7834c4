/**
 * Modules of Node that are loaded when they are first used: loading them takes a tenth of the start of the program, and
 * with the addon most runs need none of them.
 */
import type * as Crypto from 'node:crypto';
import type * as Zlib from 'node:zlib';

const crypto = (): typeof Crypto => process.getBuiltinModule('node:crypto');

export function createHash(algorithm: 'sha256'): Crypto.Hash {
  return crypto().createHash(algorithm);
}

export function randomBytes(count: number): Buffer {
  return crypto().randomBytes(count);
}

export function randomUUID(): string {
  return crypto().randomUUID();
}

export function zlib(): typeof Zlib {
  return process.getBuiltinModule('node:zlib');
}
