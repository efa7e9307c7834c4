/** Reads what `strace -f -xx` wrote: the calls of all threads of one process that change files, with their bytes. */
import * as path from 'node:path';
import { applyName, type Mark, type Names, ROOT_INODE, type TraceOp } from './trace.js';

/** Calls to record. Anything else that could change a file would show as a tree that differs at the end. */
export const RECORDED_CALLS = [
  ...['open', 'openat', 'creat', 'close', 'write', 'pwrite64', 'writev', 'pwritev', 'pwritev2'],
  ...['truncate', 'ftruncate', 'fallocate', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'rmdir'],
  ...['mkdir', 'mkdirat', 'link', 'linkat', 'fsync', 'fdatasync', 'sync', 'syncfs'],
  ...['copy_file_range', 'sendfile', 'dup', 'dup2', 'dup3'],
] as const;

interface OpenFile {
  readonly inode: number;
  readonly append: boolean;
  position: number;
}

const STRING = /"((?:\\x[0-9a-f]{2})*)"/g;

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll('\\x', ''), 'hex');
}

/** All string arguments, decoded. */
function stringsOf(text: string): Buffer[] {
  return [...text.matchAll(STRING)].map((match) => bytesOf(match[1] ?? ''));
}

export class StraceReader {
  readonly ops: TraceOp[] = [];
  /** Names as they are now. */
  readonly names: Names = new Map([[ROOT_INODE, new Map()]]);
  readonly #base: string;
  readonly #markFile: string;
  readonly #files = new Map<number, OpenFile | 'marks'>();
  readonly #lengths = new Map<number, number>();
  readonly #begun = new Map<string, { readonly text: string; readonly covers: number }>();
  #inodes = ROOT_INODE;

  /** @param base the directory that is watched @param markFile what is written there are marks, one per line */
  constructor(base: string, markFile: string) {
    this.#base = base;
    this.#markFile = markFile;
  }

  /** One line of strace's output. */
  line(line: string): void {
    const match = /^(\d+)\s+(.*)$/.exec(line);
    if (!match) return;
    const [, thread = '', rest = ''] = match;
    if (rest.endsWith('<unfinished ...>')) {
      const text = rest.slice(0, -'<unfinished ...>'.length);
      this.#begun.set(thread, { text, covers: this.ops.length });
      // The number is free for others from the moment that the call begins.
      if (text.startsWith('close(')) this.#files.delete(Number(/\d+/.exec(text)?.[0]));
      return;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    if (!resumed) {
      this.#call(rest, this.ops.length);
      return;
    }
    const begun = this.#begun.get(thread);
    this.#begun.delete(thread);
    if (begun && !begun.text.startsWith('close(')) this.#call(begun.text + (resumed[1] ?? ''), begun.covers);
  }

  #call(text: string, covers: number): void {
    const match = /^(\w+)\((.*)\)\s+= (-?\d+)/.exec(text);
    if (!match) return;
    const [, name = '', args = '', result = ''] = match;
    const value = Number(result);
    if (value < 0) return;
    const fd = Number(/^\d+/.exec(args)?.[0] ?? -1);
    if (name === 'open' || name === 'openat' || name === 'creat') this.#open(name, args, value);
    else if (name === 'close') this.#files.delete(fd);
    else if (name.endsWith('sync') || name === 'syncfs') this.#sync(name, fd, covers);
    else if (/^p?writev?2?(64)?$/.test(name)) this.#write(name, args, { fd, written: value });
    else if (name === 'ftruncate') this.#truncate(this.#inode(fd), Number(/(\d+)\s*$/.exec(args)?.[1]));
    else if (name === 'fallocate' || name === 'copy_file_range' || name === 'sendfile' || name.startsWith('dup')) {
      if (this.#files.has(fd)) throw new Error(`${name} on a recorded file: the recorder does not know how`);
    } else this.#named(name, args);
  }

  #named(name: string, args: string): void {
    const [first = null, second = null] = stringsOf(args).map((bytes) => this.#locate(bytes.toString('latin1')));
    if (name.startsWith('rename')) {
      if (!first && !second) return;
      const inode = first ? this.#find(first) : undefined;
      if (!first || !second || inode === undefined) throw new Error(`a rename across the border: ${args}`);
      this.#name({ kind: 'rename', ...first, toDir: second.dir, toName: second.name, inode });
      return;
    }
    if (!first) return;
    if (name.startsWith('mkdir')) this.#name({ kind: 'mkdir', ...first, inode: this.#newInode() });
    else if (name.startsWith('unlink') || name === 'rmdir') {
      this.#name({ kind: 'unlink', ...first, inode: this.#find(first) ?? 0 });
    } else if (name === 'truncate') {
      this.#truncate(this.#find(first) ?? 0, Number(/(\d+)\s*$/.exec(args)?.[1]));
    } else if (name.startsWith('link')) throw new Error('links are not recorded');
  }

  #name(op: Parameters<typeof applyName>[1]): void {
    this.ops.push(op);
    applyName(this.names, op);
  }

  #newInode(): number {
    this.#inodes += 1;
    return this.#inodes;
  }

  #find(place: { readonly dir: number; readonly name: string }): number | undefined {
    return this.names.get(place.dir)?.get(place.name);
  }

  /** Directory and name of a path, or null when it lies elsewhere. Throws when its directory is not known. */
  #locate(full: string): { readonly dir: number; readonly name: string } | null {
    if (!full.startsWith(`${this.#base}/`)) return null;
    const parts = full.slice(this.#base.length + 1).split('/');
    const name = parts.pop() as string;
    let dir = ROOT_INODE;
    for (const part of parts) {
      const next = this.names.get(dir)?.get(part);
      if (next === undefined) throw new Error(`${full} lies in a directory that nobody made`);
      dir = next;
    }
    return { dir, name };
  }

  #open(call: string, args: string, fd: number): void {
    const [bytes] = stringsOf(args);
    const full = path.normalize(bytes?.toString('latin1') ?? '');
    this.#files.delete(fd);
    if (full === this.#markFile) {
      this.#files.set(fd, 'marks');
      return;
    }
    if (full === this.#base) this.#files.set(fd, { inode: ROOT_INODE, append: false, position: 0 });
    const place = this.#locate(full);
    if (!place) return;
    let inode = this.#find(place);
    if (inode === undefined) {
      inode = this.#newInode();
      this.#name({ kind: 'create', ...place, inode });
    } else if ((call === 'creat' || /O_TRUNC/.test(args)) && (this.#lengths.get(inode) ?? 0) > 0) {
      this.#truncate(inode, 0);
    }
    this.#files.set(fd, { inode, append: /O_APPEND/.test(args), position: 0 });
  }

  #inode(fd: number): number {
    const file = this.#files.get(fd);
    return file === undefined || file === 'marks' ? 0 : file.inode;
  }

  #truncate(inode: number, length: number): void {
    if (inode === 0) return;
    this.ops.push({ kind: 'truncate', inode, length });
    this.#lengths.set(inode, length);
  }

  #sync(call: string, fd: number, covers: number): void {
    if (call === 'sync' || call === 'syncfs') throw new Error(`${call} is not recorded`);
    const inode = this.#inode(fd);
    if (inode > 0) this.ops.push({ kind: 'sync', inode, covers });
  }

  #write(call: string, args: string, { fd, written }: { fd: number; written: number }): void {
    const file = this.#files.get(fd);
    if (!file) return;
    const bytes = Buffer.concat(stringsOf(args)).subarray(0, written);
    if (bytes.length !== written) throw new Error(`${call}: ${bytes.length} bytes recorded of ${written}`);
    if (file === 'marks') {
      for (const line of bytes.toString().trim().split('\n')) {
        this.ops.push({ kind: 'mark', mark: JSON.parse(line) as Mark });
      }
      return;
    }
    const placed = call.startsWith('p');
    const known = this.#lengths.get(file.inode) ?? 0;
    const last = (call === 'pwritev2' ? /, (-?\d+), \w+\s*$/ : /, (\d+)\s*$/).exec(args)?.[1];
    const offset = placed ? Number(last) : file.append ? known : file.position;
    this.ops.push({ kind: 'write', inode: file.inode, offset, bytes });
    this.#lengths.set(file.inode, Math.max(known, offset + written));
    if (!placed) file.position = offset + written;
  }

  /** Something that was there before the process began. */
  before(kind: 'directory' | 'file', full: string, bytes: Uint8Array): void {
    const place = this.#locate(full);
    if (!place) throw new Error(`${full} is elsewhere`);
    const inode = this.#newInode();
    this.#name({ kind: kind === 'directory' ? 'mkdir' : 'create', ...place, inode });
    if (bytes.length === 0) return;
    this.ops.push({ kind: 'write', inode, offset: 0, bytes });
    this.#lengths.set(inode, bytes.length);
  }
}
