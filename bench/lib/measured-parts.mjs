/**
 * Results of a program that measures in parts: written after each, so that a run that is stopped loses one part at most,
 * and those that were not chosen this time stay as they are, with the commit they were taken at.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * @typedef {object} PartResults
 * @property {1} schema
 * @property {boolean} quick
 * @property {string} date of the newest part
 * @property {Record<string, string>} machine
 * @property {Record<string, any>} parts
 * @property {Record<string, { date: string, commit: string | undefined }>} taken when each part was
 * @property {Record<string, string>} missing what could not be had: a part, or "part: something in it"
 */

/**
 * What an earlier run left that may stand beside new figures: of the same machine, and quick or not as this one.
 * @param {string} file @param {boolean} quick @param {Record<string, string>} machine
 */
function earlier(file, quick, machine) {
  if (!existsSync(file)) return undefined;
  const older = JSON.parse(readFileSync(file, 'utf8'));
  // Files of before the parts have none of them.
  return older.parts && older.quick === quick && older.machine?.CPU === machine.CPU ? older : undefined;
}

/** @param {Record<string, string>} missing @param {string} part */
const without = (missing, part) =>
  Object.fromEntries(Object.entries(missing).filter(([key]) => key !== part && !key.startsWith(`${part}: `)));

/**
 * @param {object} options
 * @param {string} options.file where the results are kept, JSON
 * @param {readonly string[]} options.names of all parts, in the order of the report
 * @param {string} options.only those to measure, separated by commas
 * @param {boolean} options.quick
 * @param {Record<string, string>} options.machine
 * @param {(result: PartResults) => void} options.report called after each part
 */
export function measuredParts({ file, names, only, quick, machine, report }) {
  const chosen = only.split(',');
  const unknown = chosen.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`unknown "${unknown.join(', ')}"; there are: ${names.join(', ')}`);
  const date = new Date().toISOString().slice(0, 10);
  const older = earlier(file, quick, machine);
  /** @type {PartResults} */
  const result = { schema: 1, quick, date, machine, parts: {}, taken: {}, missing: older?.missing ?? {} };
  for (const name of Object.keys(older?.parts ?? {})) {
    result.parts[name] = older.parts[name];
    result.taken[name] = older.taken?.[name] ?? { date: older.date, commit: older.machine.commit };
  }
  const save = () => {
    result.parts = Object.fromEntries(names.filter((name) => name in result.parts).map((n) => [n, result.parts[n]]));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.part`, `${JSON.stringify(result, null, 2)}\n`);
    renameSync(`${file}.part`, file);
    report(result);
  };
  /**
   * Measures a part when it is chosen. What it throws is kept as the reason why it is missing.
   * @param {string} name
   * @param {(lacks: (what: string, error: unknown) => void) => unknown} task may name what it cannot have
   */
  return async function part(name, task) {
    if (!chosen.includes(name)) return;
    const start = performance.now();
    result.missing = without(result.missing, name);
    const lacks = (/** @type {string} */ key, /** @type {unknown} */ error) => {
      result.missing[key] = error instanceof Error ? error.message : String(error);
    };
    try {
      result.parts[name] = await task((what, error) => lacks(`${name}: ${what}`, error));
      result.taken[name] = { date, commit: machine.commit };
    } catch (error) {
      lacks(name, error);
    }
    save();
    const missing = result.missing[name] === undefined ? '' : `, MISSING: ${result.missing[name]}`;
    console.error(`${name}: ${((performance.now() - start) / 1000).toFixed(1)} s${missing}`);
  };
}

/**
 * Where the figures come from, in words; parts of another commit or day are named.
 * @param {PartResults} result @param {string} command
 */
export function madeBy({ quick, date, machine, parts, taken }, command) {
  const other = Object.keys(parts).flatMap((name) => {
    const { date: day = date, commit = machine.commit } = taken[name] ?? {};
    return day === date && commit === machine.commit ? [] : [`${name} (${day}, commit ${commit})`];
  });
  const earlierParts = other.length === 0 ? '' : ` Taken earlier: ${other.join(', ')}.`;
  const warning = quick ? 'Quick run: **do not quote**. ' : '';
  return `${warning}Made by \`${command}\` on ${date}; ${machine.CPU}, ${machine.engine}, node ${machine.node}, commit ${machine.commit}.${earlierParts}`;
}

/** What could not be measured, a sentence each. @param {PartResults} result */
export const notMeasured = ({ missing }) =>
  Object.entries(missing).map(([name, reason]) => `Not measured, ${name}: ${reason.split('\n')[0]}`);
