/**
 * A recover into a directory that holds other things, on a disk that fails somewhere: small files, a large one in steps, one
 * with a hole, links, and leftovers of each kind that have to go.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import * as path from 'node:path';
import { capture } from '../../src/capture/capture.js';
import { DiffKeeperError } from '../../src/core/core.js';
import { recover } from '../../src/recover/recover.js';
import { openStore } from '../../src/store/store.js';
import type { Life } from './fault-lives.js';
import { noise } from './noise.js';
import { storeOptions } from './store-way.js';

/** Where the life recovers to, below its directory. */
const TARGET = 'target';
/** Beyond what one blob holds. */
const LARGE_BYTES = 1_400_000;

interface Entry {
  readonly kind: 'file' | 'sparse' | 'directory' | 'symlink' | 'link';
  readonly name: string;
  readonly mode?: number;
  readonly bytes?: Buffer;
  /** What a symbolic link says, or the other name of the same file. */
  readonly to?: string;
}

/** Directories before what is in them. */
function entries(): Entry[] {
  const lines = Array.from({ length: LARGE_BYTES / 20 }, (_, line) => `the line number ${line % 7000}\n`).join('');
  const sparse = Buffer.alloc(LARGE_BYTES);
  noise(3000, 3).copy(sparse);
  noise(3000, 4).copy(sparse, LARGE_BYTES - 3000);
  return [
    { kind: 'directory', name: 'd', mode: 0o755 },
    { kind: 'directory', name: 'd/e', mode: 0o711 },
    { kind: 'file', name: 'd/one', mode: 0o644, bytes: noise(3000, 1) },
    { kind: 'file', name: 'd/two', mode: 0o600, bytes: Buffer.alloc(0) },
    { kind: 'file', name: 'kept', mode: 0o644, bytes: noise(500, 5) },
    { kind: 'file', name: 'd/e/three', mode: 0o444, bytes: noise(200, 2) },
    { kind: 'file', name: 'large', mode: 0o640, bytes: Buffer.from(lines) },
    { kind: 'sparse', name: 'sparse', mode: 0o644, bytes: sparse },
    { kind: 'symlink', name: 'd/link', to: 'e/three' },
    { kind: 'link', name: 'other', to: 'd/one' },
  ];
}

const secondsOf = (index: number): number => 1_000_000 + index * 10;

function writeEntry(root: string, { kind, name, to = '', bytes = Buffer.alloc(0) }: Entry): void {
  const file = path.join(root, name);
  if (kind === 'directory') mkdirSync(file);
  else if (kind === 'symlink') symlinkSync(to, file);
  else if (kind === 'link') linkSync(path.join(root, to), file);
  else if (kind === 'file') writeFileSync(file, bytes);
  else writeSparse(file, bytes);
}

/** Its first and last page; the rest is a hole. */
function writeSparse(file: string, bytes: Buffer): void {
  const page = 4096;
  writeFileSync(file, bytes.subarray(0, page));
  truncateSync(file, bytes.length);
  const fd = openSync(file, 'r+');
  writeSync(fd, bytes, bytes.length - page, page, bytes.length - page);
  closeSync(fd);
}

function writeState(root: string): void {
  mkdirSync(root);
  const all = entries();
  for (const entry of all) writeEntry(root, entry);
  // What is written in a directory changes its time.
  for (const [index, { kind, name, mode }] of [...all.entries()].reverse()) {
    if (kind === 'link') continue;
    const file = path.join(root, name);
    if (mode !== undefined) chmodSync(file, mode);
    lutimesSync(file, secondsOf(index), secondsOf(index));
  }
}

/** Of each kind something that is in the way, or that the checkpoint does not have, and a file that is right already. */
function writeLeftovers(root: string): void {
  mkdirSync(path.join(root, 'old', 'inner'), { recursive: true });
  writeFileSync(path.join(root, 'old', 'inner', 'file'), 'old');
  writeFileSync(path.join(root, 'd'), 'a file where a directory belongs');
  writeFileSync(path.join(root, 'large'), 'another content');
  writeFileSync(path.join(root, 'extra'), 'extra');
  symlinkSync('nowhere', path.join(root, 'extra-link'));
  mkdirSync(path.join(root, 'other'));
  for (const [index, entry] of entries().entries()) {
    if (entry.name !== 'kept') continue;
    writeEntry(root, entry);
    utimesSync(path.join(root, entry.name), secondsOf(index), secondsOf(index));
  }
}

/** What each path must look like. */
function expected(): Map<string, string> {
  const facts = new Map<string, string>();
  for (const [index, { kind, name, to = '', mode, bytes }] of entries().entries()) {
    const seconds = secondsOf(index);
    if (kind === 'link') facts.set(name, facts.get(to) ?? '');
    else if (kind === 'symlink') facts.set(name, `link ${to} ${seconds}`);
    else facts.set(name, bytes ? `file ${mode} ${seconds} ${digest(bytes)}` : `directory ${mode} ${seconds}`);
  }
  return facts;
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function factOf(file: string): string {
  const stat = lstatSync(file);
  const seconds = stat.mtimeMs / 1000;
  if (stat.isSymbolicLink()) return `link ${readlinkSync(file)} ${seconds}`;
  const kind = stat.isDirectory() ? 'directory' : 'file';
  return `${kind} ${stat.mode & 0o7777} ${seconds}${stat.isFile() ? ` ${digest(readFileSync(file))}` : ''}`;
}

function found(root: string): Map<string, string> {
  const names = readdirSync(root, { recursive: true }).map(String).sort();
  return new Map(names.map((name) => [name, factOf(path.join(root, name))]));
}

/** Paths that are missing, too many, or not as they must be. */
function differences(root: string): string[] {
  const [wanted, there] = [expected(), found(root)];
  const names = new Set([...wanted.keys(), ...there.keys()]);
  return [...names].filter((name) => wanted.get(name) !== there.get(name)).sort();
}

/** What stands before: a store of this state, and a target with other things in it. */
export async function beforeRecover(life: Life): Promise<void> {
  const state = `${life.base}.state`;
  writeState(state);
  const store = await openStore(life.root, { create: true, ...storeOptions(life.encrypted) });
  const { checkpoint } = await capture(store, state);
  life.acknowledge(checkpoint);
  await store.close();
  rmSync(state, { recursive: true });
  const target = path.join(life.base, TARGET);
  mkdirSync(target);
  writeLeftovers(target);
}

/** Recovers until all of it is said to be right. */
export async function recoverInto(life: Life): Promise<void> {
  const target = path.join(life.base, TARGET);
  await life.use(async (store) => {
    await life.does('recover', store, async () => {
      const report = await recover(store, target, { durable: true });
      if (report.rootVerified && report.damaged.length === 0) return;
      for (const { code } of report.damaged) life.errors.push(code);
      const named = new Set(report.damaged.map((one) => one.path));
      const untold = filesThatDiffer(target).filter((name) => !named.has(name));
      if (untold.length > 0) throw new Error(`not as the checkpoint has it, and not told: ${untold.join(', ')}`);
      throw new DiffKeeperError('DK_PARTIAL', 'not all of it came back');
    });
  });
}

/** Files and links of the checkpoint that are wrong; none when they cannot be looked at on this disk. */
function filesThatDiffer(target: string): string[] {
  const wanted = expected();
  const looked = [...wanted].map(([name, fact]): string => {
    if (fact.startsWith('directory')) return '';
    try {
      return factOf(path.join(target, name)) === fact ? '' : name;
    } catch (error) {
      // The disk may refuse our look as well.
      return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '') ? name : '';
    }
  });
  return looked.filter((name) => name !== '');
}

/** What is wrong after a recover that said it had brought back everything, or the empty string. */
export function troubleOfTarget(base: string): string {
  const target = path.join(base, TARGET);
  const wrong = differences(target);
  if (wrong.length > 0) return `recovered, and not as the checkpoint has it: ${wrong.join(', ')}`;
  const [one, other] = ['d/one', 'other'].map((name) => lstatSync(path.join(target, name)).ino);
  return one === other ? '' : 'recovered, and one file with two names is two files';
}
