/** `import --from=restic|borg`: each snapshot is brought back by its own program, and becomes a checkpoint of its time. */
import { mkdir } from 'node:fs/promises';
import * as path from 'node:path';
import {
  type Backup,
  type BackupKind,
  type BackupSnapshot,
  type Clock,
  EXIT_CODES,
  isDiffKeeperError,
  openBackup,
  type Store,
} from '../index.js';
import { showTaken, takeTree } from './command-import.js';
import type { CommandContext } from './context.js';
import { withPrivateDirectory } from './private-directory.js';
import { startProgress } from './progress.js';
import { checkpointFacts, storeOptions, withStore } from './store-access.js';
import { cutToTag } from './tag-text.js';
import { count } from './units.js';

/** Digits of a snapshot's id in its tag. */
const ID_DIGITS = 16;

/** Gives checkpoints the time of their snapshot. Time does not run backwards in a store. */
class SnapshotClock implements Clock {
  timeMs: number | null = null;

  nowMs(): number {
    return this.timeMs ?? Date.now();
  }
  steadyMs(): number {
    return performance.now();
  }
}

export async function importBackup(context: CommandContext, kind: BackupKind, repository: string): Promise<number> {
  const { local, output, settings, signal } = context;
  const root = typeof local.root === 'string' ? { root: local.root } : {};
  const backup = await openBackup({ kind, repository, signal, ...root });
  const clock = new SnapshotClock();
  const options = { ...storeOptions(settings), create: true, clock };
  const { codes, known } = await withStore(context, options, async (store) => {
    const taken = await tagsOf(store);
    const fresh = backup.snapshots.filter((snapshot) => !taken.has(nameOf(kind, snapshot)));
    const results = await importAll({ context, store, backup, clock, kind, repository }, fresh);
    return { codes: results, known: backup.snapshots.length - fresh.length };
  });
  const failed = codes.filter((code) => code === null).length;
  output.record('imported', { from: kind, source: repository, snapshots: codes.length - failed, known, failed });
  const before = known > 0 ? `, ${known} were there before` : '';
  output.line(`${count(codes.length - failed, 'snapshot')} imported${before}`);
  return codes.every((code) => code === EXIT_CODES.ok) ? EXIT_CODES.ok : EXIT_CODES.partial;
}

interface Import {
  readonly context: CommandContext;
  readonly store: Store;
  readonly backup: Backup;
  readonly clock: SnapshotClock;
  readonly kind: BackupKind;
  readonly repository: string;
}

/** Exit code of each; null for one that could not be brought back. */
async function importAll(job: Import, snapshots: readonly BackupSnapshot[]): Promise<(number | null)[]> {
  const { output } = job.context;
  const codes: (number | null)[] = [];
  for (const [index, snapshot] of snapshots.entries()) {
    const progress = await startProgress(output, 'importing', (number) => count(Math.floor(number), 'snapshot'));
    const update = (share: number): void => progress.update(index + share, snapshots.length);
    try {
      codes.push(await importOne(job, snapshot, { update, stop: progress.stop }));
    } catch (error) {
      // One that is damaged holds back none of the others.
      if (!isDiffKeeperError(error) || !['DK_REMOTE', 'DK_NOT_FOUND', 'DK_UNSAFE_PATH'].includes(error.code))
        throw error;
      progress.stop();
      output.note(`left out: ${nameOf(job.kind, snapshot)}: ${error.message}`);
      codes.push(null);
    } finally {
      progress.stop();
    }
  }
  return codes;
}

interface Steps {
  /** Told of the share that is done, 0 to 1. */
  readonly update: (share: number) => void;
  readonly stop: () => void;
}

async function importOne(job: Import, snapshot: BackupSnapshot, steps: Steps): Promise<number> {
  const { context, store, backup, clock, kind, repository: source } = job;
  steps.update(0);
  return withPrivateDirectory(async (place) => {
    const into = path.join(place, snapshot.id);
    await mkdir(into);
    const directory = await backup.restore(snapshot, into);
    steps.update(0.5);
    const { newest } = store;
    clock.timeMs = Math.max(snapshot.timeMs, newest?.timeMs ?? 0);
    const onProgress = (done: number, total: number): void => steps.update(0.5 + (0.5 * done) / Math.max(1, total));
    const report = await takeTree(context, store, { directory, tag: tagOf(kind, snapshot), onProgress });
    steps.stop();
    const { checkpoint, ...counts } = report;
    const { id, timeMs, tags } = snapshot;
    const about = { id, time: new Date(timeMs).toISOString(), tags };
    const facts = { from: kind, source, snapshot: about, ...counts };
    context.output.record('import', { ...facts, checkpoint: checkpoint && checkpointFacts(checkpoint) });
    return showTaken(context, report, `${nameOf(kind, snapshot)}, ${about.time}: `);
  });
}

/** By this, a later import knows what is there. */
function nameOf(kind: BackupKind, { id }: BackupSnapshot): string {
  return `${kind} ${id.slice(0, ID_DIGITS)}`;
}

function tagOf(kind: BackupKind, snapshot: BackupSnapshot): string {
  return cutToTag([nameOf(kind, snapshot), snapshot.tags.join(', ')].join(' ').trim());
}

/** What earlier imports brought in. */
async function tagsOf(store: Store): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { tag } of store.checkpoints()) names.add(tag.split(' ', 2).join(' '));
  return names;
}
