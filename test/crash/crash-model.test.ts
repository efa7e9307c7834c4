/** The model of what a crash leaves, on traces written by hand and on a line of strace's output. */
import { describe, expect, it } from 'vitest';
import { CrashModel, treeDigest } from './crash-model.js';
import { crashStates, describeState } from './enumerate.js';
import { StraceReader } from './strace-text.js';
import { ROOT_INODE, type Trace, type TraceOp } from './trace.js';

const create = (name: string, inode: number): TraceOp => ({ kind: 'create', dir: ROOT_INODE, name, inode });
const write = (inode: number, offset: number, text: string): TraceOp => ({
  kind: 'write',
  inode,
  offset,
  bytes: Buffer.from(text),
});
const traceOf = (ops: TraceOp[]): Trace => ({ workload: 'hand', initial: 0, ops, promised: [], known: [] });

/** All contents that the states of a trace leave at its end, as text. */
function statesAtEnd(ops: TraceOp[], count = 400): Set<string> {
  const found = new Set<string>();
  for (const { at, choice, number } of crashStates(traceOf(ops), 7)) {
    if (number > count) break;
    if (at.point !== ops.length) continue;
    found.add([...at.tree(choice)].map(([name, bytes]) => `${name}=${bytes?.toString()}`).join(' '));
  }
  return found;
}

describe('crash states', () => {
  it('lose any part of what was not synced, and nothing that was', () => {
    const ops: TraceOp[] = [
      create('a', 2),
      write(2, 0, 'one'),
      { kind: 'sync', inode: ROOT_INODE, covers: 2 },
      { kind: 'sync', inode: 2, covers: 2 },
      write(2, 3, 'two'),
      write(2, 6, 'end'),
    ];
    const whole = ['onetwoend', 'one', 'onetwo', 'one\0\0\0end'];
    // The length may be on disk before the bytes.
    const zeros = ['onetwo\0\0\0', 'one\0\0\0'];
    expect(statesAtEnd(ops)).toEqual(new Set([...whole, ...zeros].map((text) => `a=${text}`)));
  });

  it('lose names whose directory was not synced, also of a file that was; a rename is atomic', () => {
    const ops: TraceOp[] = [
      create('a', 2),
      write(2, 0, 'x'),
      { kind: 'sync', inode: 2, covers: 2 },
      { kind: 'rename', dir: ROOT_INODE, name: 'a', toDir: ROOT_INODE, toName: 'b', inode: 2 },
    ];
    expect(statesAtEnd(ops)).toEqual(new Set(['', 'a=x', 'b=x']));
    const synced: TraceOp[] = [...ops, { kind: 'sync', inode: ROOT_INODE, covers: 4 }];
    expect(statesAtEnd(synced)).toEqual(new Set(['b=x']));
  });

  it('tear a write at sectors of the file', () => {
    const ops: TraceOp[] = [
      create('a', 2),
      { kind: 'sync', inode: ROOT_INODE, covers: 1 },
      write(2, 100, 'x'.repeat(1000)),
    ];
    const lengths = new Set<number>();
    for (const { at, choice, number } of crashStates(traceOf(ops), 7)) {
      if (number > 200) break;
      lengths.add(at.tree(choice).get('a')?.length ?? -1);
    }
    expect([...lengths].sort((one, other) => one - other)).toEqual([-1, 0, 512, 1024, 1100]);
  });

  it('are the same for the same seed, and told apart by their content', () => {
    const ops = [create('a', 2), write(2, 0, 'x'), create('b', 3), write(3, 0, 'y'), write(3, 1, 'z')];
    const take = (seed: number) => {
      const found: string[] = [];
      for (const state of crashStates(traceOf(ops), seed)) {
        if (found.push(describeState(state) + treeDigest(state.at.tree(state.choice))) === 300) break;
      }
      return found.join('\n');
    };
    expect(take(3)).toBe(take(3));
    expect(take(3)).not.toBe(take(4));
    expect(treeDigest(new Map([['a', Buffer.from('1')]]))).not.toBe(treeDigest(new Map([['a', Buffer.from('2')]])));
  });
});

describe('strace lines', () => {
  const hex = (text: string) =>
    `"${[...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}"`;

  it('give names, bytes, places and what a sync covers', () => {
    const reader = new StraceReader('/base', '/base.marks');
    const lines = [
      `1 openat(AT_FDCWD, ${hex('/base/a')}, O_RDWR|O_CREAT|O_EXCL, 0600) = 5`,
      `1 openat(AT_FDCWD, ${hex('/elsewhere')}, O_RDWR|O_CREAT, 0600) = 6`,
      `1 write(6, ${hex('ignored')}, 7) = 7`,
      `2 pwrite64(5, ${hex('head')}, 4, 0) = 4`,
      `1 fdatasync(5 <unfinished ...>`,
      `2 pwritev(5, [{iov_base=${hex('ab')}, iov_len=2}, {iov_base=${hex('cd')}, iov_len=2}], 2, 4) = 3`,
      `1 <... fdatasync resumed>) = 0`,
      `2 close(5 <unfinished ...>`,
      `1 openat(AT_FDCWD, ${hex('/base.marks')}, O_WRONLY|O_APPEND) = 5`,
      `2 <... close resumed>) = 0`,
      `1 write(5, ${hex('{"type":"opened"}\n')}, 18) = 18`,
      `1 rename(${hex('/base/a')}, ${hex('/base/b')}) = 0`,
      `1 unlink(${hex('/base/none')}) = -1 ENOENT (No such file or directory)`,
    ];
    for (const line of lines) reader.line(line);
    expect(reader.ops).toEqual([
      { kind: 'create', dir: 1, name: 'a', inode: 2 },
      { kind: 'write', inode: 2, offset: 0, bytes: Buffer.from('head') },
      { kind: 'write', inode: 2, offset: 4, bytes: Buffer.from('abc') },
      { kind: 'sync', inode: 2, covers: 2 },
      { kind: 'mark', mark: { type: 'opened' } },
      { kind: 'rename', dir: 1, name: 'a', toDir: 1, toName: 'b', inode: 2 },
    ]);
    const tree = new CrashModel(traceOf(reader.ops))
      .at(4)
      .tree({ names: 'all', dropped: new Set([2]), torn: new Map() });
    expect(tree).toEqual(new Map([['a', Buffer.from('head')]]));
  });
});
