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

export function createHmac(algorithm: 'sha256', key: Uint8Array): Crypto.Hmac {
  return crypto().createHmac(algorithm, key);
}

/** Compares in a time that does not depend on the bytes; different lengths are different. */
export function equalSecretly(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && crypto().timingSafeEqual(left, right);
}

export function randomBytes(count: number): Buffer {
  return crypto().randomBytes(count);
}

/** All of it, for what encrypts. */
export function nodeCrypto(): typeof Crypto {
  return crypto();
}

/** A whole number, not below `min` and below `max`. */
export function randomInt(min: number, max: number): number {
  return crypto().randomInt(min, max);
}

export function randomUUID(): string {
  return crypto().randomUUID();
}

/** For programs that are run to their end, or apart from ours. */
export function childProcess() {
  return process.getBuiltinModule('node:child_process');
}

/** Starts a program that nobody waits for; nothing happens when there is none of this name. */
export function startApart(program: string, words: readonly string[]): void {
  const child = childProcess().spawn(program, words, { detached: true, stdio: 'ignore' });
  child.on('error', () => {});
  child.unref();
}

export function zlib(): typeof Zlib {
  return process.getBuiltinModule('node:zlib');
}
