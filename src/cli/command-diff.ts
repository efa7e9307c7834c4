/** `diff`: what differs between two checkpoints. */
import pc from 'picocolors';
import { EXIT_CODES, VERSION_TYPE } from '../index.js';
import { type Difference, differences } from './checkpoint-diff.js';
import type { CommandContext } from './context.js';
import { DamagedVersions } from './damaged-versions.js';
import { parseMoment, resolveMoment } from './moment.js';
import { pathFacts, pathShown } from './output.js';
import { withReading } from './store-access.js';
import { showBytes, showNumber } from './units.js';

const PAINT = { '+': pc.green, '~': pc.yellow, '-': pc.red } as const;

function sizes({ before, after }: Difference): string {
  const isFile = (after ?? before)?.type === VERSION_TYPE.file;
  if (!isFile) return '';
  if (before && after && before.size !== after.size) return `  ${showBytes(before.size)} → ${showBytes(after.size)}`;
  return `  ${showBytes((after ?? before)?.size ?? 0)}`;
}

export async function run(context: CommandContext): Promise<number> {
  const { output, words } = context;
  const now = Date.now();
  const [from, to] = [parseMoment(words[0], now, 'from'), parseMoment(words[1], now, 'to')];
  const damaged = new DamagedVersions(output);
  await withReading(context, async (store) => {
    const older = await store.checkpointAt(await resolveMoment(store, from ?? 0));
    const newer = await store.checkpointAt(await resolveMoment(store, to ?? store.newest?.sequence ?? 0));
    const counts = { '+': 0, '~': 0, '-': 0 };
    for await (const one of differences(store, { from: older, to: newer, onUnreadable: damaged.take })) {
      const { mark, path, before, after, what } = one;
      counts[mark] += 1;
      const facts = { mark, ...pathFacts(path), what };
      output.record('difference', { ...facts, sizeBefore: before?.size ?? null, sizeAfter: after?.size ?? null });
      const why = what.length > 0 ? pc.dim(`  (${what.join(', ')})`) : '';
      output.drawn(`${PAINT[mark](`${mark} ${pathShown(path) || '.'}`)}${sizes(one)}${why}`);
    }
    const totals = { from: older.sequence, to: newer.sequence, added: counts['+'], changed: counts['~'] };
    output.record('diff', { ...totals, removed: counts['-'], damaged: damaged.count });
    const [added, changed, removed] = [counts['+'], counts['~'], counts['-']].map(showNumber);
    output.line(`#${older.sequence} to #${newer.sequence}: ${added} added, ${changed} changed, ${removed} removed`);
  });
  return damaged.count > 0 ? EXIT_CODES.partial : EXIT_CODES.ok;
}
