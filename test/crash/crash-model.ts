/**
 * What may be on disk after a crash.
 *
 * The rules, from the loosest file system that POSIX allows ("strict": nothing is durable that was not synced by
 * name) to the usual one ("journal": changes of names are kept in order, and any sync makes all earlier ones durable):
 *
 * - a write or truncation is durable once a sync of its file began after it had ended; any subset of the others may be
 *   there, a write also in part (sectors of 512 bytes or 4 KiB), zeros where nothing was written;
 * - a name that was made, renamed or removed is durable once its directory was synced (journal: once anything was);
 *   any subset of the others may be there (journal: any beginning); a rename is atomic.
 */
import { createHash } from 'node:crypto';
import {
  applyName,
  type DataOp,
  isDataOp,
  isNameOp,
  type NameOp,
  type Names,
  ROOT_INODE,
  type Trace,
} from './trace.js';

/** Parts of a write that are there: byte ranges relative to its beginning. */
export interface TornWrite {
  readonly ranges: readonly (readonly [number, number])[];
  /** The file is as long as if all of it were there. */
  readonly extended: boolean;
}

/** Which of the operations that need not be durable are lost. */
export interface CrashChoice {
  /** `all`: none but the dropped are lost. A number: names changed by this operation and later ones are lost. */
  readonly names: 'all' | number;
  readonly dropped: ReadonlySet<number>;
  readonly torn: ReadonlyMap<number, TornWrite>;
}

/** LevelDB's own diary and its lock: never read by anybody. */
export const UNREAD = /^(LOG|LOG\.old|LOCK)$/;

export class CrashModel {
  readonly #trace: Trace;
  /** Files that only ever had names that nobody reads. */
  readonly #unread = new Set<number>();

  constructor(trace: Trace) {
    this.#trace = trace;
    for (const op of trace.ops) {
      if (op.kind === 'create' && UNREAD.test(op.name)) this.#unread.add(op.inode);
    }
  }

  /** The moment after the first `point` operations. */
  at(point: number): CrashPoint {
    return new CrashPoint(this.#trace, point, this.#unread);
  }
}

export class CrashPoint {
  readonly point: number;
  /** Only the rules of a journal hold for names. */
  readonly namesInOrder: boolean;
  readonly #trace: Trace;
  /** Writes and truncations that need not be there. */
  readonly pendingData: number[] = [];
  /** Changes of names that need not be there, under the strict rules. */
  readonly pendingNames: number[] = [];
  /** The first change of names that need not be there under the rules of a journal. */
  readonly journalFrom: number;
  readonly #nameOps: number[] = [];
  readonly #dataOps = new Map<number, number[]>();
  /** Files of which nothing is lost. */
  readonly #whole = new Map<number, Buffer>();

  constructor(trace: Trace, point: number, unread: ReadonlySet<number>) {
    this.#trace = trace;
    this.point = point;
    this.namesInOrder = trace.namesInOrder === true;
    const synced = new Map<number, number>();
    let journal = trace.initial;
    for (let index = 0; index < point; index += 1) {
      const op = trace.ops[index];
      if (op?.kind !== 'sync') continue;
      synced.set(op.inode, Math.max(synced.get(op.inode) ?? 0, op.covers));
      journal = Math.max(journal, op.covers);
    }
    this.journalFrom = journal;
    for (let index = 0; index < point; index += 1) {
      const op = trace.ops[index];
      if (!op) continue;
      if (isNameOp(op)) {
        this.#nameOps.push(index);
        if (index >= trace.initial && !unread.has(op.inode) && !isNameDurable(op, index, synced)) {
          this.pendingNames.push(index);
        }
      } else if (isDataOp(op) && !unread.has(op.inode)) {
        const list = this.#dataOps.get(op.inode);
        if (list) list.push(index);
        else this.#dataOps.set(op.inode, [index]);
        if (index >= trace.initial && index >= (synced.get(op.inode) ?? 0)) this.pendingData.push(index);
      }
    }
  }

  op(index: number): NameOp | DataOp {
    return this.#trace.ops[index] as NameOp | DataOp;
  }

  #names(choice: CrashChoice): Names {
    const names: Names = new Map([[ROOT_INODE, new Map()]]);
    for (const index of this.#nameOps) {
      if (choice.dropped.has(index) || (choice.names !== 'all' && index >= choice.names)) continue;
      applyName(names, this.#trace.ops[index] as NameOp);
    }
    return names;
  }

  #content(inode: number, choice: CrashChoice): Buffer {
    const ops = this.#dataOps.get(inode) ?? [];
    if (ops.some((index) => choice.dropped.has(index) || choice.torn.has(index))) return this.#written(ops, choice);
    const known = this.#whole.get(inode) ?? this.#written(ops, choice);
    this.#whole.set(inode, known);
    return known;
  }

  #written(ops: readonly number[], choice: CrashChoice): Buffer {
    let bytes = Buffer.alloc(0);
    const grow = (length: number) => {
      if (length <= bytes.length) return;
      const longer = Buffer.alloc(length);
      bytes.copy(longer);
      bytes = longer;
    };
    // Sized once: growing a pack write by write would copy it again and again.
    let longest = 0;
    let length = 0;
    for (const index of ops) {
      const op = this.#trace.ops[index] as DataOp;
      if (op.kind === 'write') longest = Math.max(longest, op.offset + op.bytes.length);
    }
    grow(longest);
    for (const index of ops) {
      if (choice.dropped.has(index)) continue;
      const op = this.#trace.ops[index] as DataOp;
      if (op.kind === 'truncate') {
        if (op.length < length) bytes.fill(0, op.length, length);
        grow(op.length);
        length = op.length;
        continue;
      }
      const torn = choice.torn.get(index);
      const ranges = torn?.ranges ?? [[0, op.bytes.length]];
      for (const [from, to] of ranges) {
        bytes.set(op.bytes.subarray(from, to), op.offset + from);
        length = Math.max(length, op.offset + to);
      }
      if (torn?.extended) length = Math.max(length, op.offset + op.bytes.length);
    }
    return bytes.subarray(0, length);
  }

  /** Path -> bytes (null for a directory) of one state. */
  tree(choice: CrashChoice): Map<string, Buffer | null> {
    const names = this.#names(choice);
    const tree = new Map<string, Buffer | null>();
    const walk = (dir: number, prefix: string) => {
      for (const [name, inode] of names.get(dir) ?? []) {
        const full = prefix + name;
        if (names.has(inode)) {
          tree.set(full, null);
          walk(inode, `${full}/`);
        } else tree.set(full, this.#content(inode, choice));
      }
    };
    walk(ROOT_INODE, '');
    return tree;
  }
}

/** A rename that one of two directories knows is known to both: it is atomic. */
function isNameDurable(op: NameOp, index: number, synced: ReadonlyMap<number, number>): boolean {
  const known = (dir: number) => index < (synced.get(dir) ?? 0);
  return known(op.dir) || (op.kind === 'rename' && known(op.toDir));
}

/** The same for equal trees; names that nobody reads are left out. */
export function treeDigest(tree: ReadonlyMap<string, Buffer | null>): string {
  const hash = createHash('sha1');
  for (const name of [...tree.keys()].sort()) {
    if (UNREAD.test(name.slice(name.lastIndexOf('/') + 1))) continue;
    const bytes = tree.get(name);
    hash.update(`${name}\0${bytes ? bytes.length : 'd'}\0`);
    if (bytes) hash.update(bytes);
  }
  return hash.digest('base64');
}
