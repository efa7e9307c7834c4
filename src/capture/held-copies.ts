/** Large files copied to memory while the application stands still: of each what its page table does not know. */
import type { HeldFile } from '../engine/engine.js';
import type { HoldMemory } from './hold-memory.js';
import type { OpenedLarge } from './large-files.js';

/** Files up to this size are copied side by side, each with room for all of it; of larger ones little may have changed. */
const SIDE_BY_SIDE_BYTES = 1 << 20;
/** Larger files are not compared before it is known that what changed in them fits; where it does not, comparing stops early. */
const COMPARED_BYTES_MAX = 1 << 30;

interface HoldPlace {
  readonly room: number;
  readonly memory: HoldMemory;
  /** Whether page tables tell what is as it was: not with SHA-256. Default true. */
  readonly compares?: boolean;
}

interface Sized {
  readonly opened: OpenedLarge;
  /** As it was found when everything stood still. */
  readonly size: number;
}

/**
 * Copies what differs, of small ones first. Gives the bytes taken of each; undefined for one that does not fit into `room`, is empty,
 * or moves.
 */
export async function copyChanged(
  files: readonly Sized[],
  { room, memory, compares = true }: HoldPlace,
): Promise<(number | undefined)[]> {
  let left = room;
  const held: (number | undefined)[] = files.map(() => undefined);
  // At once: each is a way to another thread and back, and the application stands still.
  const together = files.map(({ size }) => {
    if (size === 0 || size > SIDE_BY_SIDE_BYTES || size > left) return undefined;
    left -= size;
    return memory.take(size);
  });
  const small = files.map(async ({ opened }, i) => {
    const into = together[i];
    if (into) held[i] = (await opened.scan.hold(into))?.heldBytes;
  });
  // None is left running when one fails: it would go on writing to memory.
  await Promise.allSettled(small);
  await Promise.all(small);
  for (const [i, into] of together.entries()) left += into ? into.length - (held[i] ?? 0) : 0;
  for (const [i, { opened, size }] of files.entries()) {
    if (size <= SIDE_BY_SIDE_BYTES || size > COMPARED_BYTES_MAX || left <= 0) continue;
    // All of it would be taken, as far as there is room, for nothing.
    if (size > left && !(compares && opened.table)) continue;
    held[i] = (await copyOne(opened, Math.min(size, left), memory))?.heldBytes;
    left -= held[i] ?? 0;
  }
  return held;
}

/** Into the prepared memory if there is room for all that may come, otherwise into memory of its own; one try, as it is compared. */
async function copyOne({ scan }: OpenedLarge, bytesMax: number, memory: HoldMemory): Promise<HeldFile | undefined> {
  const prepared = memory.offer(bytesMax);
  const held = await scan.hold(prepared ?? Buffer.allocUnsafeSlow(bytesMax));
  if (held) memory.keep(held.heldBytes, prepared !== undefined);
  return held;
}
