/** Targets beside figures: what was wanted, what came, and where it was missed why and what would close it. */
import { table } from './figures.mjs';

/** @typedef {{ target: string, measured: string, verdict: string, reason?: string }} Judged */

/**
 * @param {string} target
 * @param {readonly string[]} all figures, in words
 * @param {readonly string[]} missed those of them that do not reach it
 * @param {string} [reason] why, and what would close it
 * @returns {Judged}
 */
export function judged(target, all, missed, reason) {
  if (all.length === 0) return { target, measured: 'nothing measured', verdict: 'not measured' };
  const verdict = missed.length === 0 ? 'met' : `**missed on ${missed.join(', ')}**`;
  return { target, measured: all.join(', '), verdict, ...(missed.length > 0 && reason !== undefined && { reason }) };
}

/** Table and reasons. @param {readonly Judged[]} all */
export function judgedBlock(all) {
  const rows = all.map(({ target, measured, verdict }) => [target, measured, verdict]);
  const reasons = all.flatMap(({ target, reason }) => (reason === undefined ? [] : [`- **${target}**: ${reason}`]));
  return [table(['target', 'measured', 'verdict'], rows, 3).trimEnd(), reasons.join('\n')].join('\n\n').trimEnd();
}
