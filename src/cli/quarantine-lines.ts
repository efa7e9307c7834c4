/** Says what lies in a store's quarantine, and what that means. */
import type { QuarantineItem, QuarantineReport } from '../index.js';
import type { Output } from './output.js';
import { count, showBytes } from './units.js';

const MEANING: Record<QuarantineItem['kind'], string> = {
  packEnd: 'ends of packs that looked torn; what was cut off may have been a checkpoint, with all its versions',
  stretch: 'copies of damaged stretches of packs',
  unreadable: 'packs and files that the disk did not give',
  pack: 'packs of a prune that did not end',
  metadata: 'metadata of before a rebuild from damaged packs; it may name versions that are lost',
  report: 'reports of repairs, which name what was lost',
  other: 'others',
};

/** Nothing for an empty one: it is no damage by itself. */
export function showQuarantine(output: Output, quarantine: QuarantineReport | undefined): void {
  if (!quarantine || quarantine.entries === 0) return;
  const { path, entries, bytes, items } = quarantine;
  output.note(
    `in quarantine, not used and no damage by itself: ${count(entries, 'entry')}, ${showBytes(bytes)} in ${path}`,
  );
  for (const item of items)
    output.note(`  ${count(item.entries, 'entry')}, ${showBytes(item.bytes)}: ${MEANING[item.kind]}`);
}
