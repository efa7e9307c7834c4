/** The section of docs/performance.md about small recovers. */
import { showBytes, showMs, table } from '../lib/figures.mjs';
import { writeSection } from '../lib/marked-section.mjs';
import { RECOVERY_CASES } from './recovery-cases.mjs';

const PROGRAM = 'bench/recovery/run-recovery.mjs';
const LIMITS = { wholeMs: 100, rootMs: 5, lookupMs: 0.1 };

/** @param {number} value @param {number} limit */
const judged = (value, limit) => (value <= limit ? showMs(value) : `**${showMs(value)}**`);

/** @param {any} result */
function sectionText(result) {
  const { start, cases, quick, trials, date, machine } = result;
  const rows = Object.entries(cases).map(([name, one]) => {
    const { facts, direct, library, parts, shared } = one;
    return [
      RECOVERY_CASES[name]?.title ?? name,
      showBytes(facts.treeBytes),
      judged(direct.wallMs, LIMITS.wholeMs),
      showMs(direct.cpuMs),
      judged(library.openMs + library.recoverMs, LIMITS.wholeMs),
      showMs(library.recoverMs),
      judged(parts.rootMs, LIMITS.rootMs),
      judged(parts.lookupMs, LIMITS.lookupMs),
      showMs(shared.wallMs),
      showMs(shared.cpuMs),
    ];
  });
  const head = [
    'state',
    'size',
    'program',
    'CPU',
    'library: open and recover',
    'recover',
    'tree root',
    'blob lookup',
    'through the owner',
    'CPU',
  ];
  const deepest = Math.max(...Object.values(cases).map((/** @type {any} */ { facts }) => facts.depths.length - 1));
  return [
    '## Small recovers',
    `${quick ? 'Quick run: **do not quote**. ' : ''}Made by \`npm run bench:recovery\` on ${date}; ${machine.CPU}, ${machine.engine}, ` +
      `node ${machine.node}, commit ${machine.commit}. Medians of ${trials} trials, each a process of its own with a fresh target; the ` +
      'files are in the page cache, every tree was compared.',
    `*program*: \`diffkeeper recover\` from its start to its end; *library*: a process that has loaded it; *tree root*: the Merkle root, ` +
      'hashed anew by itself; *blob lookup*: one by one; *through the owner*: the program while a `watch` has the store. Limits: ' +
      `${LIMITS.wholeMs} ms, ${LIMITS.rootMs} ms for the root, ${LIMITS.lookupMs} ms for a lookup; what misses them is bold. ` +
      `The deepest blob stands on ${deepest} others.`,
    table(head, rows).trimEnd(),
    `Starts: \`node -e 0\` ${showMs(start.node.wallMs)} (CPU ${showMs(start.node.cpuMs)}), \`diffkeeper --version\` ` +
      `${showMs(start.version.wallMs)} (${showMs(start.version.cpuMs)}), \`diffkeeper engine\` ${showMs(start.engine.wallMs)} ` +
      `(${showMs(start.engine.cpuMs)}).`,
  ].join('\n\n');
}

/**
 * @param {string} file
 * @param {object} result
 */
export function writeRecovery(file, result) {
  writeSection(file, { name: 'recovery', program: PROGRAM, text: sectionText(result) });
}
