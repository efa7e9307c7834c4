/** Namespaces of their own for tests that need to be root in them, or process 1, where the machine lets us make them. */
import { spawnSync } from 'node:child_process';
import { it } from 'vitest';

export interface OwnRoom {
  /** Options of `unshare`. */
  readonly words: readonly string[];
  /** Why the machine does not let us; undefined: it does. */
  readonly refused: string | undefined;
}

/**
 * @param words options of `unshare`; those that let us be root are added where they are needed
 * @param needed what the tests do in there, as a script of the shell; it is tried once
 */
export function ownRoom(words: readonly string[], needed = 'true'): OwnRoom {
  const isRoot = process.getuid?.() === 0 || words.includes('--user');
  const all = isRoot ? words : [...words, '--user', '--map-root-user'];
  const { status, stderr, error } = spawnSync('unshare', [...all, '--', 'sh', '-c', needed], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  // A machine that is late forbids nothing.
  if (error !== undefined && 'code' in error && error.code === 'ETIMEDOUT') throw error;
  if (status === 0) return { words: all, refused: undefined };
  const reason = error?.message ?? (stderr.trim().split('\n').at(-1) || `it ended with ${status}`);
  return { words: all, refused: `unshare ${words.join(' ')}: ${reason}` };
}

/** A test that needs the room; where the machine forbids it, it is skipped, and says why. */
export function itIn({ refused }: OwnRoom, name: string, test: () => Promise<void> | void, timeoutMs: number): void {
  if (refused !== undefined) process.stderr.write(`skipped on this machine: ${name} (${refused})\n`);
  it.skipIf(refused !== undefined)(refused === undefined ? name : `${name} (${refused})`, test, timeoutMs);
}
