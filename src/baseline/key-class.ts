/** Which keys are of one kind: they share dictionaries and measured ratios. */

/**
 * The key without the parts between dashes that hold a digit: "vm-123-memory" becomes "vm-memory"; "unknown" when nothing is
 * left. Messages rely on it (`docs/format-state.md`): never change.
 */
export function classOfKey(key: string): string {
  const kept = key.split('-').filter((part) => !/\d/.test(part));
  return kept.join('-') || 'unknown';
}
