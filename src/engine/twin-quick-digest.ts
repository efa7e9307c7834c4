/**
 * The quick digest of `groupDigest`, in the twin (docs/format-state.md): XXH3-128 of the list of XXH3-128 values of groups of
 * 64 KiB. By WebAssembly: BigInt makes less than 10 MB/s of it.
 */
import type { IHasher } from 'hash-wasm';
import { quickListHead } from './quick-list.js';
import { yieldTurn } from './twin-hash.js';

const GROUP_BYTES = 64 << 10;
const VALUE_BYTES = 16;
/** Groups hashed before other work gets its turn. */
const TURN_GROUPS = 16;

let starting: Promise<IHasher> | undefined;

async function newHasher(): Promise<IHasher> {
  const { createXXHash128 } = await import('hash-wasm');
  return createXXHash128();
}

export async function quickDigest(data: Uint8Array): Promise<Buffer> {
  starting ??= newHasher();
  const hasher = await starting;
  const count = Math.ceil(data.length / GROUP_BYTES);
  const head = quickListHead(data.length);
  const list = Buffer.alloc(head.length + count * VALUE_BYTES);
  list.set(head);
  for (let i = 0; i < count; i += 1) {
    const group = data.subarray(i * GROUP_BYTES, (i + 1) * GROUP_BYTES);
    // One call after the other, with no turn in between: all share the hasher.
    list.set(hasher.init().update(group).digest('binary'), head.length + i * VALUE_BYTES);
    if (i % TURN_GROUPS === TURN_GROUPS - 1) await yieldTurn();
  }
  return Buffer.from(hasher.init().update(list).digest('binary'));
}
