/** Which keys are of one kind: they share dictionaries and measured ratios. */

/** The key without the parts between dashes that hold a digit: "vm-123-memory" becomes "vm-memory". */
export function classOfKey(key: string): string {
  const kept = key.split('-').filter((part) => !/\d/.test(part));
  return kept.length > 0 ? kept.join('-') : 'unknown';
}
