/** Snapshots that other programs keep, brought back by those programs: restic and borg. */
import { readdir, realpath, stat } from 'node:fs/promises';
import * as path from 'node:path';
import { DiffKeeperError } from '../core/core.js';
import { runTool } from './run-tool.js';

export type BackupKind = 'restic' | 'borg';

/** One snapshot of a repository. */
export interface BackupSnapshot {
  /** Hexadecimal digits. */
  readonly id: string;
  /** Wall clock, ms since 1970. */
  readonly timeMs: number;
  /** restic: the tags; borg: name of the archive, and its comment when there is one. */
  readonly tags: readonly string[];
}

export interface BackupOptions {
  readonly kind: BackupKind;
  /** As the tool takes it: a directory, or an address. */
  readonly repository: string;
  /**
   * Directory inside the snapshots that is the root here. Default: the directory that all of them are of, when restic says
   * that it is one, else everything.
   */
  readonly root?: string;
  readonly signal?: AbortSignal;
}

export interface Backup {
  /** Oldest first. */
  readonly snapshots: readonly BackupSnapshot[];
  /**
   * Brings a snapshot back below an empty directory of the caller's own.
   *
   * @returns the directory that is the root
   * @throws DK_NOT_FOUND when the snapshot does not have the root, DK_UNSAFE_PATH when it leads elsewhere, DK_REMOTE,
   * DK_ABORTED
   */
  restore(snapshot: BackupSnapshot, into: string): Promise<string>;
}

interface Listed extends BackupSnapshot {
  /** What the tool calls it. */
  readonly handle: string;
  /** Absolute paths that it is of, when the tool tells. */
  readonly paths: readonly string[];
}

/**
 * Lists the snapshots of a repository with the installed tool. Its password comes from the environment, as the tool reads
 * it (`RESTIC_PASSWORD_FILE`, `BORG_PASSCOMMAND`, ...).
 *
 * @throws DK_SPAWN when the tool is not installed, DK_REMOTE when it fails, DK_ABORTED, TypeError for a root with `..`
 */
export async function openBackup(asked: BackupOptions): Promise<Backup> {
  const { kind } = asked;
  // Borg unpacks into its working directory, from where a relative path would lead elsewhere.
  const isLocal = (await stat(asked.repository).catch(() => null)) !== null;
  const options = isLocal ? { ...asked, repository: path.resolve(asked.repository) } : asked;
  const listed = kind === 'restic' ? await listRestic(options) : await listBorg(options);
  listed.sort((one, other) => one.timeMs - other.timeMs);
  const root = rootNames(options.root ?? '');
  const common = options.root === undefined ? commonPath(listed) : '';
  return {
    snapshots: listed,
    restore: async (snapshot, into) => {
      const chosen = listed.find(({ id }) => id === snapshot.id);
      if (!chosen) throw new DiffKeeperError('DK_NOT_FOUND', `the repository has no snapshot ${snapshot.id}`);
      if (kind === 'restic') await restoreRestic(options, chosen, { into, root });
      else await restoreBorg(options, chosen, { into, root });
      return root === '' ? belowChain(into, common) : rootBelow(into, root, chosen);
    },
  };
}

function rootNames(root: string): string {
  const names = root.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) throw new TypeError(`root must not contain "..": ${root}`);
  return names.join('/');
}

/** The one path that all snapshots are of. */
function commonPath(listed: readonly Listed[]): string {
  const paths = new Set(listed.flatMap((snapshot) => snapshot.paths));
  const [only] = paths;
  return paths.size === 1 && only !== undefined && listed.every((snapshot) => snapshot.paths.length === 1) ? only : '';
}

/**
 * Where the directory `common` is: restic puts what it was given as a relative path at the top, so any end of it may be
 * there, and nothing beside it.
 */
async function belowChain(into: string, common: string): Promise<string> {
  const names = common.split('/').filter((name) => name !== '');
  for (let first = 0; first < names.length; first += 1) {
    let place = into;
    for (const name of names.slice(first)) {
      const entries = await readdir(place, { withFileTypes: true });
      const isChain = entries.length === 1 && entries[0]?.name === name && entries[0].isDirectory();
      place = isChain ? path.join(place, name) : '';
      if (!isChain) break;
    }
    if (place !== '') return place;
  }
  return into;
}

/** A link in the snapshot must not lead to what is not of it. */
async function rootBelow(into: string, root: string, { handle }: Listed): Promise<string> {
  const found = path.join(into, root);
  const facts = await stat(found).catch(() => null);
  if (!facts?.isDirectory()) {
    throw new DiffKeeperError('DK_NOT_FOUND', `snapshot ${handle} has no directory /${root}`, { path: root });
  }
  const [real, inside] = [await realpath(found), await realpath(into)];
  if (real === inside || real.startsWith(`${inside}${path.sep}`)) return real;
  throw new DiffKeeperError('DK_UNSAFE_PATH', `/${root} of snapshot ${handle} is a link that leads out of it`, {
    path: root,
  });
}

interface Target {
  readonly into: string;
  readonly root: string;
}

async function listRestic({ repository, signal }: BackupOptions): Promise<Listed[]> {
  const text = await runTool({ tool: 'restic', words: [`--repo=${repository}`, '--json', 'snapshots'], signal });
  return rowsOf(text, 'restic').map((row) => {
    const id = idOf(row.id, 'restic');
    return { id, handle: id, timeMs: timeOf(row.time, 'restic'), tags: texts(row.tags), paths: texts(row.paths) };
  });
}

async function restoreRestic({ repository, signal }: BackupOptions, { handle }: Listed, target: Target): Promise<void> {
  const words = [`--repo=${repository}`, 'restore', handle, `--target=${target.into}`];
  // A path is taken for a pattern: what would be one is chosen afterwards.
  if (target.root !== '' && !/[*?[\]\\$]/.test(target.root)) words.push(`--include=/${target.root}`);
  await runTool({ tool: 'restic', words, signal });
}

/** Borg tells times without a zone, in that of its environment. */
const BORG_ENV = { TZ: 'UTC' };

async function listBorg({ repository, signal }: BackupOptions): Promise<Listed[]> {
  const words = ['list', '--json', '--format={comment}', '--', repository];
  const text = await runTool({ tool: 'borg', words, env: BORG_ENV, signal });
  return rowsOf(text, 'borg').map((row) => {
    const [handle = '', comment = ''] = texts([row.name, row.comment]);
    const tags = comment === '' ? [handle] : [handle, comment];
    return { id: idOf(row.id, 'borg'), handle, timeMs: timeOf(`${row.start}Z`, 'borg'), tags, paths: [] };
  });
}

async function restoreBorg({ repository, signal }: BackupOptions, { handle }: Listed, target: Target): Promise<void> {
  const words = ['extract', '--numeric-ids', '--sparse', '--', `${repository}::${handle}`];
  if (target.root !== '') words.push(`pp:${target.root}`);
  // Its warnings (code 1) are about attributes that cannot be set here, and paths that are not there.
  await runTool({ tool: 'borg', words, env: BORG_ENV, cwd: target.into, warnings: 1, signal });
}

type Row = Readonly<Record<string, unknown>>;

function rowsOf(text: string, tool: BackupKind): Row[] {
  try {
    const value: unknown = JSON.parse(text);
    const rows = tool === 'borg' ? (value as Row).archives : value;
    // No snapshots: some releases of restic say null.
    if (rows === null) return [];
    if (Array.isArray(rows) && rows.every((row) => typeof row === 'object' && row !== null)) return rows as Row[];
  } catch (error) {
    throw strange(tool, error);
  }
  throw strange(tool);
}

function strange(tool: BackupKind, cause?: unknown): DiffKeeperError {
  return new DiffKeeperError('DK_REMOTE', `${tool} listed its snapshots in an unknown form`, { name: tool }, cause);
}

function idOf(value: unknown, tool: BackupKind): string {
  if (typeof value === 'string' && /^[0-9a-f]{8,64}$/.test(value)) return value;
  throw strange(tool);
}

function timeOf(value: unknown, tool: BackupKind): number {
  const timeMs = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isFinite(timeMs)) return timeMs;
  throw strange(tool);
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map((text: unknown) => (typeof text === 'string' ? text : '')) : [];
}
