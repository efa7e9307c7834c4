/** Runs a workload in a process of its own under strace and gives what it did to the disk. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import * as path from 'node:path';
import { CrashModel, UNREAD } from './crash-model.js';
import { RECORDED_CALLS, StraceReader } from './strace-text.js';
import type { Trace } from './trace.js';

/** Whole content of a directory: path -> bytes, null for a directory. */
export type Tree = Map<string, Buffer | null>;

export function readTree(directory: string, below = '', found: Tree = new Map()): Tree {
  for (const entry of readdirSync(path.join(directory, below), { withFileTypes: true })) {
    const name = path.join(below, entry.name);
    if (entry.isDirectory()) {
      found.set(name, null);
      readTree(directory, name, found);
    } else found.set(name, readFileSync(path.join(directory, name)));
  }
  return found;
}

export interface Recording {
  readonly workload: string;
  /** What the workload may change; what is in it already is durable. */
  readonly base: string;
  /** Program and arguments; marks are written to the file that DK_CRASH_MARKS names. */
  readonly command: readonly string[];
  readonly promised?: Trace['promised'];
  readonly known?: Trace['known'];
}

/** Throws when the workload fails, or when what was recorded does not give what is on disk. */
export function record({ workload, base, command, promised = [], known = [] }: Recording): Trace {
  const marks = `${base}.marks`;
  const output = `${base}.strace`;
  const reader = new StraceReader(base, marks);
  for (const [name, bytes] of readTree(base)) {
    reader.before(bytes ? 'file' : 'directory', path.join(base, name), bytes ?? Buffer.alloc(0));
  }
  const initial = reader.ops.length;
  const flags = ['-f', '--seccomp-bpf', '-xx', '-qq', '-s', '100000000', '-e', 'signal=none', '-o', output];
  const traced = ['-e', `trace=${RECORDED_CALLS.join(',')}`, '--', ...command];
  const run = spawnSync('strace', [...flags, ...traced], {
    encoding: 'utf8',
    // Calls through io_uring would not be seen.
    env: { ...process.env, UV_USE_IO_URING: '0', DK_CRASH_MARKS: marks },
  });
  if (run.error) throw run.error;
  if (run.status !== 0) throw new Error(`workload ${workload} ended with ${run.status}:\n${run.stdout}${run.stderr}`);
  for (const line of readFileSync(output, 'latin1').split('\n')) reader.line(line);
  rmSync(output);
  rmSync(marks, { force: true });
  const trace: Trace = { workload, initial, ops: reader.ops, promised, known };
  assertSame(new CrashModel(trace).at(trace.ops.length).tree({ names: 'all', dropped: new Set(), torn: new Map() }), {
    base,
    workload,
  });
  return trace;
}

/** Nothing escaped the recorder when its last state is what is on disk. */
function assertSame(tree: Tree, { base, workload }: { base: string; workload: string }): void {
  const real = readTree(base);
  const names = new Set([...tree.keys(), ...real.keys()]);
  for (const name of names) {
    if (UNREAD.test(path.basename(name))) continue;
    const one = tree.get(name);
    const other = real.get(name);
    const same = one && other ? one.equals(other) : one === other;
    if (!same) throw new Error(`workload ${workload}: ${name} on disk is not what was recorded`);
  }
}
