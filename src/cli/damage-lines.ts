/** Says what is damaged, and which versions of which files it reaches. */
import type { DamageReport } from '../index.js';
import { type Output, pathFacts, pathShown } from './output.js';

/** @param shown names per damage for people; JSON has all of them */
export function showDamage(output: Output, damage: readonly DamageReport[], shown: number): void {
  for (const { affected, ...facts } of damage) {
    const paths = affected.map(({ path, sequence }) => ({ ...pathFacts(path), sequence }));
    output.record('damage', { ...facts, affected: paths });
    const what = facts.kind === 'unreadable' ? 'cannot be read' : `damaged ${facts.kind}`;
    output.note(`${what}: ${facts.where}: ${facts.message}`);
    for (const { path, sequence } of affected.slice(0, shown)) {
      output.note(`  cannot be read back: ${pathShown(path)} at checkpoint ${sequence}`);
    }
    if (affected.length > shown) output.note(`  and ${affected.length - shown} more`);
  }
}
