/** A checkpoint's entries and their bytes, verified on the way out, for exports. */
import {
  type BytePath,
  DiffKeeperError,
  isDiffKeeperError,
  isWithin,
  LIMITS,
  pathFromText,
  pathToText,
  throwIfAborted,
} from '../core/core.js';
import { startDigest } from '../engine/load.js';
import { type Checkpoint, hasSafePath, VERSION_TYPE, type Version, versionTrouble } from '../format/format.js';
import type { OnUnreadable, Store } from '../store/store.js';
import { EntryAncestors } from './entry-ancestors.js';

const STEP_BYTES = LIMITS.windowBytes;

export interface ExportChoice {
  /** Checkpoint number or moment; default the newest. */
  readonly at?: number | Date;
  /** Only these paths and what lies below them, UTF-8 text. Default all. */
  readonly paths?: readonly string[];
}

/** An entry that an export does not have. */
export interface LeftOut {
  readonly path: string;
  readonly reason: string;
}

/** @throws DK_NOT_FOUND */
export async function chosenCheckpoint(store: Store, at: number | Date | undefined): Promise<Checkpoint> {
  if (at !== undefined) return store.checkpointAt(at);
  if (store.newest) return store.newest;
  throw new DiffKeeperError('DK_NOT_FOUND', `the store ${store.path} has no checkpoint`, { path: store.path });
}

/**
 * Live entries of a checkpoint, parents before what is in them. Those that must not leave the store, because they lead
 * out of the directory or contradict themselves, and those that cannot be read, go to `leftOut` instead.
 */
export async function* chosenEntries(
  store: Store,
  checkpoint: Checkpoint,
  choice: ExportChoice,
  leftOut: LeftOut[],
): AsyncGenerator<Version> {
  const ancestors = new EntryAncestors(store, checkpoint);
  const under: BytePath[] | undefined = choice.paths?.map((path) => pathFromText(path));
  const isChosen = (path: BytePath): boolean => path !== '' && (under?.some((one) => isWithin(path, one)) ?? true);
  const onUnreadable: OnUnreadable = ({ path, error }) => {
    if (isChosen(path)) leftOut.push({ path: pathToText(path), reason: error.message });
  };
  for await (const batch of store.entries({ at: checkpoint.sequence, onUnreadable })) {
    for (const version of batch) {
      if (version.type === VERSION_TYPE.removed || !isChosen(version.path)) continue;
      const reason = await refusal(version, ancestors);
      if (reason === null) yield version;
      else leftOut.push({ path: pathToText(version.path), reason });
    }
  }
}

async function refusal(version: Version, ancestors: EntryAncestors): Promise<string | null> {
  if (!hasSafePath(version)) return 'its path leads out of the directory';
  const trouble = versionTrouble(version);
  return trouble === null ? ancestors.trouble(version) : `the entry ${trouble}`;
}

/** A file's bytes in pieces. Every blob is verified, the whole at the end. @throws DK_CORRUPT_..., DK_DIGEST_MISMATCH */
export async function* contentOf(store: Store, version: Version): AsyncGenerator<Buffer> {
  const digest = await startDigest(store.hashAlgo);
  const reader = store.reader(version);
  for (let offset = 0; offset < version.size; offset += STEP_BYTES) {
    const bytes = await reader.read(offset, Math.min(STEP_BYTES, version.size - offset));
    digest.update(bytes);
    yield bytes;
  }
  const path = pathToText(version.path);
  if (version.digest && digest.digest().equals(version.digest)) return;
  throw new DiffKeeperError('DK_DIGEST_MISMATCH', `the content of ${path} has another digest than its version`, {
    path,
  });
}

/** Why a content cannot be had, when that is damage of this file alone; throws everything else. */
export function damageOf(error: unknown): string {
  if (isDiffKeeperError(error)) {
    const { code, message } = error;
    if (code.startsWith('DK_CORRUPT') || code === 'DK_DIGEST_MISMATCH' || code === 'DK_IO') return message;
  }
  throw error;
}

/**
 * The content of a file that is whole: short ones are in memory then, longer ones are read again. What has gone into an
 * archive cannot be taken back. Throws as `contentOf`.
 */
export async function wholeContentOf(
  store: Store,
  version: Version,
  signal?: AbortSignal,
): Promise<AsyncIterable<Buffer> | readonly Buffer[]> {
  const pieces: Buffer[] = [];
  for await (const piece of contentOf(store, version)) {
    throwIfAborted(signal);
    if (version.size <= STEP_BYTES) pieces.push(piece);
  }
  return version.size <= STEP_BYTES ? pieces : contentOf(store, version);
}
