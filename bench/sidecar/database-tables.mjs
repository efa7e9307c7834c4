/** Rows and tables about databases beside the sidecar, for the section of docs/performance.md. */
import { showBytes, showMs, table } from '../lib/figures.mjs';
import { median, quartiles } from '../lib/statistics.mjs';

/** Share of the transactions that the sidecar may cost. */
const LOST_SHARE_MAX = 0.05;

/** @param {string} text @param {boolean} isMissed */
export const bold = (text, isMissed) => (isMissed ? `**${text}**` : text);
export const percent = (/** @type {number} */ share) => `${(share * 100).toFixed(1)} %`;

/**
 * @typedef {{ count: number, p50: number, p99: number, max: number }} Spread
 * @typedef {{ round: number, keeper: string, whole: number, steady: number, bytesAfter: number, checkpoints: number, pauseMs?: number,
 *   cpuShare?: number }} Turn
 * @typedef {{ name: string, bytes: number, turns: Turn[], pauses: Spread, stops: Spread, cpuShare: number, peakBytes: number,
 *   ownPeakBytes: number }} Database
 * @typedef {{ seconds: number, beginningMs: number, overhead: number, databases?: Database[] }} DatabaseTrial figures of before
 *   have no `databases`
 */

/** @param {Database} database */
const nameOf = ({ bytes }) => `a database of ${showBytes(bytes)}`;

/**
 * @param {DatabaseTrial | undefined} trial
 * @returns {[string, Spread, undefined][]}
 */
export const databasePauses = (trial) =>
  (trial?.databases ?? []).flatMap((database) => [
    [`pause of PostgreSQL under pgbench, ${nameOf(database)}`, database.pauses, undefined],
    ['of it until everybody stood still', database.stops, undefined],
  ]);

/**
 * @param {DatabaseTrial | undefined} trial
 * @returns {[string, Database][]}
 */
export const databaseCosts = (trial) =>
  (trial?.databases ?? []).map((database) => [`postgres, ${nameOf(database)}`, database]);

/** @param {DatabaseTrial} trial @returns {[string, string][]} */
const keepersOf = ({ overhead }) => [
  ['kept', 'a checkpoint each second'],
  ['limited', `\`--max-overhead=${overhead}%\``],
];

/**
 * What each round lost: a keeper's turn beside that without one, which was just before or after it.
 * @param {Turn[]} turns @param {string} keeper @param {'whole' | 'steady'} part
 */
function lossesOf(turns, keeper, part) {
  const alone = new Map(turns.filter((turn) => turn.keeper === 'alone').map((turn) => [turn.round, turn[part]]));
  return turns.flatMap((turn) => {
    const beside = turn.keeper === keeper ? alone.get(turn.round) : undefined;
    return beside === undefined ? [] : [1 - turn[part] / beside];
  });
}

/**
 * What a database lost: with a checkpoint each second, and with a limit of what they cost; in whole turns, and without their
 * beginnings.
 * @param {DatabaseTrial | undefined} trial
 */
export function throughput(trial) {
  if (!trial?.databases) return [];
  const { seconds, beginningMs, databases } = trial;
  const parts = /** @type {const} */ ([
    ['whole', `turns of ${seconds} s`],
    ['steady', `after the first ${beginningMs / 1000} s of them`],
  ]);
  return databases.flatMap((database) =>
    keepersOf(trial).flatMap(([keeper, how]) => {
      const of = (/** @type {string} */ name) => database.turns.filter((turn) => turn.keeper === name);
      const own = of(keeper);
      const apart = seconds / median(own.map(({ checkpoints }) => checkpoints));
      return parts.map(([part, when]) => {
        const alone = median(of('alone').map((turn) => turn[part]));
        const kept = median(own.map((turn) => turn[part]));
        const losses = lossesOf(database.turns, keeper, part);
        const lost = median(losses);
        const { low, high } = quartiles(losses);
        const text = `${alone.toFixed(0)} alone, ${kept.toFixed(0)} kept: ${percent(lost)} lost (${percent(low)} to ${percent(high)})`;
        const name = `pgbench, transactions/s, ${nameOf(database)}, ${how} (${apart.toFixed(1)} s apart), ${when}, medians of ${own.length} rounds`;
        return [name, bold(text, !(lost <= LOST_SHARE_MAX)), `at most ${percent(LOST_SHARE_MAX)} lost`];
      });
    }),
  );
}

/**
 * All turns, in the order in which they were.
 * @param {DatabaseTrial | undefined} trial
 */
export function turnTable(trial) {
  if (!trial?.databases) return [];
  const how = new Map([['alone', 'alone'], ...keepersOf(trial)]);
  const rows = trial.databases.flatMap(({ bytes, turns }) =>
    turns.map((turn) => [
      how.get(turn.keeper) ?? turn.keeper,
      `${showBytes(bytes)}, ${showBytes(turn.bytesAfter)}`,
      turn.whole.toFixed(0),
      turn.steady.toFixed(0),
      String(turn.checkpoints),
      showMs(turn.pauseMs ?? Number.NaN),
      turn.cpuShare === undefined ? '–' : percent(turn.cpuShare),
    ]),
  );
  const head = [
    'turns of pgbench, in their order',
    'database before and after',
    'transactions/s',
    'after the beginning',
  ];
  return [table([...head, 'checkpoints', 'pause, p50', 'CPU'], rows)];
}
