/** Numbers and names of packs. */

/**
 * Packs from this number on were written by a prune. A number, and so a name, says it, because no byte inside a file
 * may decide whether a pack is part of the log of commits: it could be damaged. 50 million packs hold 3 PB.
 */
export const COMPACTED_FROM = 50_000_000;

export function isCompacted(pack: number): boolean {
  return pack >= COMPACTED_FROM;
}

export function packName(pack: number): string {
  return `${String(pack).padStart(8, '0')}.dkp`;
}
