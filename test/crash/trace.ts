/**
 * What a workload did to its directory, call by call, in the order in which the calls ended.
 *
 * Files and directories are numbered (inode 1 is the directory itself), so that a name that moves or goes away does
 * not lose its bytes: whether a name and whether its bytes survive a crash are two questions.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';

export const ROOT_INODE = 1;

export type NameOp =
  | { readonly kind: 'create' | 'mkdir'; readonly dir: number; readonly name: string; readonly inode: number }
  | { readonly kind: 'unlink'; readonly dir: number; readonly name: string; readonly inode: number }
  | {
      readonly kind: 'rename';
      readonly dir: number;
      readonly name: string;
      readonly toDir: number;
      readonly toName: string;
      readonly inode: number;
    };

export type DataOp =
  | { readonly kind: 'write'; readonly inode: number; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly inode: number; readonly length: number };

export type TraceOp =
  | NameOp
  | DataOp
  /** Ended here; covers operations 0 to `covers` (exclusive), those that had ended when it began. */
  | { readonly kind: 'sync'; readonly inode: number; readonly covers: number }
  | { readonly kind: 'mark'; readonly mark: Mark };

/** What the workload was told by the store, written into the trace at that moment. */
export type Mark =
  /** `openStore` resolved: from here on the store opens without being allowed to make a new one. */
  | { readonly type: 'opened' }
  /** A commit resolved. */
  | { readonly type: 'acknowledged'; readonly sequence: number; readonly root: string }
  /** From here on these checkpoints may go. */
  | { readonly type: 'released'; readonly sequences: readonly number[] }
  /** What matters begins: earlier moments are left out. */
  | { readonly type: 'watch' };

export interface Trace {
  readonly workload: string;
  /** The first operations made what was there before: they are durable. */
  readonly initial: number;
  readonly ops: readonly TraceOp[];
  /** Marks of what was there before. */
  readonly promised: readonly Mark[];
  /** Checkpoints that may come back without having been acknowledged. */
  readonly known: readonly (readonly [sequence: number, root: string])[];
  /** A store of schema 1 that is migrated: the root that its content has in schema 2. */
  readonly migrated?: string;
  readonly encrypted?: boolean;
  /** Records are damaged from the beginning: nothing may be missing all the same. */
  readonly damaged?: boolean;
  /** Names are lost in the order of a journal only. */
  readonly namesInOrder?: boolean;
  /** A state directory that every state must be able to capture, giving this root. */
  readonly recapture?: { readonly directory: string; readonly root: string };
}

export function isNameOp(op: TraceOp): op is NameOp {
  return op.kind === 'create' || op.kind === 'mkdir' || op.kind === 'unlink' || op.kind === 'rename';
}

export function isDataOp(op: TraceOp): op is DataOp {
  return op.kind === 'write' || op.kind === 'truncate';
}

export function saveTrace(file: string, trace: Trace): void {
  writeFileSync(file, serialize(trace));
}

export function loadTrace(file: string): Trace {
  return deserialize(readFileSync(file)) as Trace;
}

/** Names of a tree by directory. */
export type Names = Map<number, Map<string, number>>;

/** Applies one change of names; what it needs may be missing when an earlier change was lost. */
export function applyName(names: Names, op: NameOp): void {
  const of = (dir: number): Map<string, number> => {
    const known = names.get(dir) ?? new Map<string, number>();
    names.set(dir, known);
    return known;
  };
  if (op.kind === 'unlink') of(op.dir).delete(op.name);
  else if (op.kind === 'rename') {
    of(op.dir).delete(op.name);
    of(op.toDir).set(op.toName, op.inode);
  } else {
    of(op.dir).set(op.name, op.inode);
    if (op.kind === 'mkdir') of(op.inode);
  }
}
