/** `recover`: brings the state back. */
import { EXIT_CODES, pathFromText, planRecover, recover, type Store } from '../index.js';
import type { CommandContext } from './context.js';
import { parseMoment, resolveMoment } from './moment.js';
import { pathShown } from './output.js';
import { startProgress } from './progress.js';
import { checkpointFacts, innerPath, withReading } from './store-access.js';
import { count, showBytes, showDuration, showNumber, showTime } from './units.js';

/** What the user selected: a moment and paths. */
interface Selection {
  readonly at?: number | Date;
  readonly paths?: readonly string[];
}

export async function run(context: CommandContext): Promise<number> {
  const at = parseMoment(context.local.at, Date.now());
  const paths = context.words.filter((word) => word !== undefined).map(innerPath);
  return withReading(context, async (store) => {
    const moment = at === undefined ? {} : { at: await resolveMoment(store, at) };
    const selection = { ...moment, ...(paths.length === 0 ? {} : { paths }) };
    return context.local.dryRun === true ? plan(context, store, selection) : restore(context, store, selection);
  });
}

/** Whether what the checkpoint does not have is removed: as the library decides, unless it is to be kept. */
function removing({ local }: CommandContext): { readonly removeExtra?: boolean } {
  return local.keepExtra === true ? { removeExtra: false } : {};
}

async function plan(context: CommandContext, store: Store, selection: Selection): Promise<number> {
  const { output, settings, signal } = context;
  const { stateDir, ignore } = settings;
  const { checkpoint, ...facts } = await planRecover(store, {
    ...selection,
    ...removing(context),
    stateDir,
    ignore,
    signal,
  });
  output.record('plan', { ...facts, checkpoint: checkpointFacts(checkpoint) });
  output.line(
    `checkpoint ${checkpoint.sequence} of ${showTime(checkpoint.timeMs)}: ${count(facts.files, 'file')}, ` +
      `${count(facts.directories, 'directory')}, ${count(facts.symlinks, 'link')}, ${showBytes(facts.bytes)}`,
  );
  const removed = facts.removed ?? 0;
  output.line(`${stateDir}: ${removed === 0 ? 'nothing' : count(removed, 'entry')} would be removed`);
  for (const { path } of facts.removals) output.line(`- ${pathShown(pathFromText(path))}`);
  if (removed > facts.removals.length) output.line(`and ${showNumber(removed - facts.removals.length)} more`);
  for (const { path, code, message } of facts.damaged) output.note(`damaged: ${path || 'tree'}: ${message} (${code})`);
  return facts.damaged.length > 0 ? EXIT_CODES.partial : EXIT_CODES.ok;
}

async function restore(context: CommandContext, store: Store, selection: Selection): Promise<number> {
  const { settings, local, output, logger, signal } = context;
  const progress = await startProgress(output, 'recovering');
  const report = await recover(store, settings.stateDir, {
    ...selection,
    strict: local.strict === true,
    ignore: settings.ignore,
    setuid: settings.setuid,
    ...removing(context),
    signal,
    logger,
    ...(output.terminal ? { onProgress: progress.update } : {}),
  }).finally(progress.stop);
  const { checkpoint, ...facts } = report;
  output.record('recover', { ...facts, checkpoint: checkpointFacts(checkpoint) });
  const root = facts.rootVerified === true ? ', tree root verified' : '';
  output.line(
    `checkpoint ${checkpoint.sequence} of ${showTime(checkpoint.timeMs)}: ${facts.written} written, ${facts.kept} right already, ` +
      `${facts.removed} removed, ${showBytes(facts.bytes)} in ${showDuration(facts.elapsedMs)}${root}`,
  );
  const { identityDropped } = facts;
  if (identityDropped > 0) {
    output.note(`without setuid, setgid or capabilities: ${count(identityDropped, 'file')} (--setuid gives them back)`);
  }
  for (const { path, code, message } of facts.damaged) output.note(`damaged: ${path || 'tree'}: ${message} (${code})`);
  return facts.damaged.length > 0 ? EXIT_CODES.partial : EXIT_CODES.ok;
}
