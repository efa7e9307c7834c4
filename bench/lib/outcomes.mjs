/** Which tools take part, in which order, and how it went. */

/**
 * One outcome for each tool: verified until shown otherwise, or missing.
 * @param {readonly import('./bench-types.js').Tool[]} tools
 */
export function openOutcomes(tools) {
  /** @type {Partial<Record<import('./bench-types.js').ToolName, import('./bench-types.js').ToolOutcome>>} */
  const outcomes = {};
  for (const { name, version } of tools) {
    const found = version();
    const status = found === null ? 'missing' : 'verified';
    outcomes[name] = { version: found, status, reason: found === null ? 'not installed' : '', verifiedTrees: 0 };
  }
  return outcomes;
}

/**
 * A list turned by some places, so that nobody is always first.
 * @template T
 * @param {readonly T[]} list
 * @param {number} by
 */
export function turned(list, by) {
  const cut = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(cut), ...list.slice(0, cut)];
}

/**
 * Runs a task of a tool; when it throws, the tool is marked and takes no further part.
 * @param {import('./bench-types.js').ToolOutcome | undefined} outcome
 * @param {() => Promise<void>} task
 */
export async function attempt(outcome, task) {
  if (outcome?.status !== 'verified') return;
  try {
    await task();
  } catch (error) {
    outcome.status = 'failed';
    outcome.reason = error instanceof Error ? error.message : String(error);
  }
}
