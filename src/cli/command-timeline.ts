/** `timeline`: draws what happened, newest last. */
import pc from 'picocolors';
import { EXIT_CODES } from '../index.js';
import type { CommandContext } from './context.js';
import { DamagedVersions } from './damaged-versions.js';
import { parseCount } from './moment.js';
import { pathFacts, pathShown } from './output.js';
import { shown } from './shown-text.js';
import { checkpointFacts, withReading } from './store-access.js';
import { type TimelineRow, timelineRows } from './timeline-rows.js';
import { showBytes, showTime } from './units.js';

const LIMIT = 20;
const NAMES = 3;
const BAR_CELLS = 16;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const PAINT = { '+': pc.green, '~': pc.yellow, '-': pc.red } as const;

/** Bar whose length is the share of the largest, at least a sliver for anything above 0. */
function bar(value: number, largest: number): string {
  if (value <= 0 || largest <= 0) return ''.padEnd(BAR_CELLS);
  const eighths = Math.max(1, Math.round((value / largest) * BAR_CELLS * 8));
  return ('█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '')).padEnd(BAR_CELLS);
}

function drawRow(row: TimelineRow, largest: number): string[] {
  const { checkpoint, added, changed, removed, names } = row;
  const marks = [
    pc.green(`+${added}`.padStart(6)),
    pc.yellow(`~${changed}`.padStart(6)),
    pc.red(`-${removed}`.padStart(6)),
  ];
  const frozen = checkpoint.frozen ? pc.cyan(`  ❄ ${checkpoint.pauseMs.toFixed(1)} ms`) : '';
  const tag = checkpoint.tag === '' ? '' : pc.bold(`  "${shown(checkpoint.tag)}"`);
  const bytes = `${showBytes(checkpoint.changedBytes).padStart(8)} → ${showBytes(checkpoint.storedBytes).padStart(8)}`;
  const head = `${showTime(checkpoint.timeMs)} ${pc.bold(`#${checkpoint.sequence}`.padStart(6))}`;
  const lines = [
    `${head} ${marks.join(' ')}  ${bytes}  ${pc.blue(bar(checkpoint.storedBytes, largest))}${frozen}${tag}`,
  ];
  const more = added + changed + removed - names.length;
  const told = names.map(({ mark, path }) => PAINT[mark](`${mark} ${pathShown(path) || '.'}`));
  if (told.length > 0) lines.push(`${' '.repeat(20)}${told.join('  ')}${more > 0 ? pc.dim(`  and ${more} more`) : ''}`);
  return lines;
}

export async function run(context: CommandContext): Promise<number> {
  const { output, local } = context;
  const limit = parseCount('--limit', local.limit, LIMIT);
  const names = parseCount('--names', local.names, NAMES);
  const damaged = new DamagedVersions(output);
  await withReading(context, async (store) => {
    const rows: TimelineRow[] = [];
    let found = 0;
    for await (const row of timelineRows(store, { limit, names, onUnreadable: damaged.take })) {
      const { checkpoint, ...facts } = row;
      found += 1;
      damaged.takeUnnamed(checkpoint.sequence, row.unreadable);
      const named = facts.names.map(({ mark, path }) => ({ mark, ...pathFacts(path) }));
      output.record('checkpoint', {
        ...checkpointFacts(checkpoint),
        written: checkpoint.changed,
        ...facts,
        names: named,
      });
      if (!output.json) rows.push(row);
    }
    const largest = Math.max(0, ...rows.map((row) => row.checkpoint.storedBytes));
    if (rows.length > 0) output.drawn(pc.dim('time                     no.  added changed  gone   content →   stored'));
    for (const row of rows) for (const line of drawRow(row, largest)) output.drawn(line);
    if (found === 0) output.note('the store has no checkpoints yet');
  });
  return damaged.count > 0 ? EXIT_CODES.partial : EXIT_CODES.ok;
}
