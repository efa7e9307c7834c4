/** `log`: checkpoints, or the versions of one path; newest first. */
import {
  DiffKeeperError,
  EXIT_CODES,
  type OnUnreadable,
  pathFromText,
  type Store,
  VERSION_TYPE,
  type VersionSummary,
} from '../index.js';
import type { CommandContext } from './context.js';
import { parseCount } from './moment.js';
import { pathFacts } from './output.js';
import { checkpointFacts, innerPath, withReading } from './store-access.js';
import { showBytes, showTime } from './units.js';

const LIMIT = 20;

export async function run(context: CommandContext): Promise<number> {
  const limit = parseCount('--limit', context.local.limit, LIMIT);
  const [word] = context.words;
  // The state directory itself has versions like any other.
  const path = word === undefined ? undefined : /^\.\/*$/.test(word) ? '' : innerPath(word);
  return withReading(context, async (store) => {
    if (path !== undefined) return logVersions(context, store, { path, limit });
    await logCheckpoints(context, store, limit);
    return EXIT_CODES.ok;
  });
}

/** Checkpoints that took the state directory itself along, newest first: captures do not count it as an entry either. */
async function* rootSequences(store: Store): AsyncGenerator<number> {
  const unreadable: number[] = [];
  const onUnreadable: OnUnreadable = ({ sequence }) => void unreadable.push(sequence);
  for await (const { sequence, version } of store.versions('', { onUnreadable })) {
    yield* unreadable.splice(0);
    if (version.type !== VERSION_TYPE.removed) yield sequence;
  }
  yield* unreadable;
}

async function logCheckpoints({ output }: CommandContext, store: Store, limit: number): Promise<void> {
  // Both come newest first: a long history is read as far as it is shown.
  const roots = rootSequences(store);
  try {
    let root = output.json ? undefined : (await roots.next()).value;
    for await (const checkpoint of store.checkpoints(limit === 0 ? {} : { limit })) {
      const { sequence, timeMs, changed, removed, changedBytes, storedBytes, frozen, pauseMs, tag } = checkpoint;
      while (root !== undefined && root > sequence) root = (await roots.next()).value;
      const own = root === sequence ? 1 : 0;
      const written = changed - own;
      // It moves with every name made in it: worth a word where nothing else did.
      const itself = own > 0 && written + removed === 0 ? ', the state directory itself' : '';
      output.record('checkpoint', checkpointFacts(checkpoint));
      const extra = `${frozen ? `  frozen ${pauseMs.toFixed(1)} ms` : ''}${tag === '' ? '' : `  "${tag}"`}`;
      output.line(
        `${String(sequence).padStart(6)}  ${showTime(timeMs)}  ${written} written, ${removed} removed${itself}, ` +
          `${showBytes(changedBytes)} of content, ${showBytes(storedBytes)} stored${extra}`,
      );
    }
  } finally {
    await roots.return(undefined);
  }
}

function describe({ version }: VersionSummary): string {
  const mode = version.mode.toString(8).padStart(4, '0');
  if (version.type === VERSION_TYPE.removed) return 'removed';
  if (version.type === VERSION_TYPE.directory) return `directory ${mode}`;
  const kind = version.type === VERSION_TYPE.symlink ? 'link' : 'file';
  return `${kind} ${mode}  ${showBytes(version.size).padStart(8)}  ${version.digest?.toString('hex').slice(0, 16) ?? ''}`;
}

async function logVersions(
  { output }: CommandContext,
  store: Store,
  options: { readonly path: string; readonly limit: number },
): Promise<number> {
  let shown = 0;
  let damaged = 0;
  const isEnough = (): boolean => options.limit > 0 && shown >= options.limit;
  const onUnreadable: OnUnreadable = ({ path, sequence, error }) => {
    if (isEnough()) return;
    shown += 1;
    damaged += 1;
    const { code, message } = error;
    output.record('damaged', { ...pathFacts(path), sequence, code, message });
    output.note(`damaged: version of checkpoint ${sequence}: ${message} (${code})`);
  };
  for await (const summary of store.versions(pathFromText(options.path), { onUnreadable })) {
    if (isEnough()) break;
    shown += 1;
    const { sequence, timeMs, version } = summary;
    const type = Object.entries(VERSION_TYPE).find(([, value]) => value === version.type)?.[0];
    output.record('version', {
      ...pathFacts(version.path),
      sequence,
      time: new Date(timeMs).toISOString(),
      entry: type,
      mode: version.mode,
      size: version.size,
      digest: version.digest?.toString('hex') ?? null,
    });
    output.line(`${String(sequence).padStart(6)}  ${showTime(timeMs)}  ${describe(summary)}`);
  }
  if (shown === 0) {
    throw new DiffKeeperError('DK_NOT_FOUND', `the store has no version of ${options.path || '.'}`, {
      path: options.path,
    });
  }
  return damaged > 0 ? EXIT_CODES.partial : EXIT_CODES.ok;
}
