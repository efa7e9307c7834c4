/** Pairs of states of several groups, as `native/fuzz/fuzz_sparse_large.cc` makes them of its inputs. */
const GROUP_BYTES = 64 << 10;
const CHANGE_BYTES = 5;
const CHANGES_MAX = 64;

function filled(pattern: Buffer, length: number, noise: boolean): Buffer {
  if (!noise) return pattern.length === 0 ? Buffer.alloc(length) : Buffer.alloc(length, pattern);
  const bytes = Buffer.alloc(length);
  let seed = 0x9e3779b97f4a7c15n;
  for (const byte of pattern) seed = BigInt.asUintN(64, (seed ^ BigInt(byte)) * 0x100000001b3n);
  for (let i = 0; i < length; i += 1) {
    seed = BigInt.asUintN(64, seed * 6364136223846793005n + 1442695040888963407n);
    bytes[i] = Number(seed >> 56n);
  }
  return bytes;
}

function change(target: Buffer, at: Buffer): void {
  const [kind = 0, low = 0, high = 0, times = 0, value = 0] = at;
  const place = (low + 256 * high) * 4 + (kind % 4);
  const count = (times + 1) << (kind & 8 ? 6 : 0);
  const step = kind & 16 ? 1 + (kind >> 5) * 37 : 1;
  for (let i = 0; i < count && place + i * step < target.length; i += 1) {
    const to = place + i * step;
    const by = (kind & 4 ? value + i : value) & 255;
    target[to] = kind & 64 ? by : (target[to] as number) ^ by;
  }
}

export function largePair(input: {
  readonly mode: number;
  readonly targetBytes: number;
  readonly source: Buffer;
  readonly rest: Buffer;
}): { readonly source: Buffer; readonly target: Buffer } {
  const { mode, targetBytes: tail, rest } = input;
  const targetBytes = (mode & 3) * GROUP_BYTES + (mode & 16 ? tail : 0);
  const sourceBytes = mode & 32 ? ((mode >> 2) & 3) * GROUP_BYTES + Math.floor(tail / 3) : targetBytes;
  const source = filled(input.source, sourceBytes, (mode & 64) !== 0);
  const target = Buffer.alloc(targetBytes);
  source.copy(target);
  for (let i = 0; i < Math.min(Math.floor(rest.length / CHANGE_BYTES), CHANGES_MAX); i += 1)
    change(target, rest.subarray(i * CHANGE_BYTES, (i + 1) * CHANGE_BYTES));
  return { source, target };
}
