/**
 * Received files below one directory. Bytes go to a temporary file in `.diffkeeper-partial` as they come, with a journal
 * of what is there; when all is there and right, the file is synced and renamed to its name.
 *
 *   journal   offset u64 | length u64, again and again; a torn end is ignored
 *
 * The journal is not synced: what it claims wrongly after a power failure is found by the digest, and sent again.
 */
import { type FileHandle, lstat, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createHash,
  DiffKeeperError,
  fromSystemError,
  isDiffKeeperError,
  makeDirectory,
  renameDurable,
  systemCode,
  writeFully,
} from '../core/core.js';
import { loadEngine } from '../engine/load.js';
import { NameTurns } from './name-turns.js';
import { PartialFile } from './partial-file.js';
import { isThere, type Placed, PlacedNotes } from './placed-note.js';
import type { BlobOffer, BlobSink } from './types.js';

const PARTIAL = '.diffkeeper-partial';
const ENTRY_BYTES = 16;
/** Longest journal that is read: a million pieces. */
const JOURNAL_BYTES_MAX = ENTRY_BYTES << 20;
/** Files that are done are known by their key for a while: the sender may not have heard of it. */
const DONE_MAX = 1024;

export interface ReceivedFile {
  /** Below the directory. */
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly peer: string;
  /** Bytes that an earlier session had brought. */
  readonly resumedBytes: number;
}

/** Parts of a name that stays below its directory. Throws DK_UNSAFE_PATH. */
export function safeParts(name: string): string[] {
  const parts = name.split('/');
  const bad = parts.some((part) => part === '' || part === '.' || part === '..' || part === PARTIAL);
  if (bad || name.includes('\0') || name.includes('\\') || name.includes('\ufffd')) {
    throw new DiffKeeperError('DK_UNSAFE_PATH', `a file may not be called ${JSON.stringify(name)}`, { path: name });
  }
  return parts;
}

/** Makes the directories above a file, none of them through a symbolic link. */
async function makeParents(root: string, parts: readonly string[]): Promise<string> {
  let at = root;
  for (const part of parts.slice(0, -1)) {
    at = join(at, part);
    await mkdir(at).catch((error: unknown) => {
      if (systemCode(error) !== 'EEXIST') throw error;
    });
    if (!(await lstat(at)).isDirectory()) {
      throw new DiffKeeperError('DK_UNSAFE_PATH', `${at} is no directory of its own`, { path: at });
    }
  }
  return join(at, parts.at(-1) as string);
}

async function readJournal(path: string, size: number): Promise<[number, number][]> {
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  const pieces: [number, number][] = [];
  for (let at = 0; at + ENTRY_BYTES <= Math.min(bytes.length, JOURNAL_BYTES_MAX); at += ENTRY_BYTES) {
    const offset = Number(bytes.readBigUInt64LE(at));
    const length = Number(bytes.readBigUInt64LE(at + 8));
    if (Number.isSafeInteger(offset) && offset + length <= size) pieces.push([offset, length]);
  }
  return mergedPieces(pieces);
}

/** In order, without overlaps. */
function mergedPieces(pieces: [number, number][]): [number, number][] {
  const merged: [number, number][] = [];
  for (const [offset, length] of pieces.sort((left, right) => left[0] - right[0])) {
    const last = merged.at(-1);
    if (last !== undefined && last[0] + last[1] >= offset) last[1] = Math.max(last[1], offset + length - last[0]);
    else merged.push([offset, length]);
  }
  return merged;
}

function missingTime(error: unknown): number {
  if (systemCode(error) === 'ENOENT') return Number.NEGATIVE_INFINITY;
  throw error;
}

export class FileInbox {
  readonly #directory: string;
  readonly #onFile: (file: ReceivedFile) => void;
  readonly #engine = loadEngine();
  /** Files being received, by key: one that is taken up again waits until its last session has let go. */
  readonly #turns = new NameTurns();
  readonly #done = new Map<string, Placed>();
  readonly #notes = new PlacedNotes();

  /** @param directory must exist */
  constructor(directory: string, onFile: (file: ReceivedFile) => void) {
    this.#directory = directory;
    this.#onFile = onFile;
  }

  /** Opens a sink for an offered file. Throws DK_UNSAFE_PATH, DK_DISK_FULL, DK_IO, and the reason of the signal. */
  readonly open = async (offer: BlobOffer, signal?: AbortSignal): Promise<BlobSink | null> => {
    const parts = safeParts(offer.meta.toString('utf8'));
    const name = createHash('sha256').update(offer.key).update(`${offer.size}`).digest().toString('hex');
    const free = await this.#turns.take(name, signal);
    try {
      const done = this.#done.get(name) ?? (await this.#notes.read(this.#partial(name, 'done'), offer.size));
      if (done !== undefined && done.path === join(this.#directory, ...parts) && (await isThere(done))) {
        free();
        return null;
      }
      this.#done.delete(name);
      return await this.#sink(offer, parts, name, free);
    } catch (error) {
      free();
      throw fromSystemError(error, 'write', join(this.#directory, ...parts));
    }
  };

  /** Removes what transfers left that nobody went on with since a moment (ms of the wall clock); gives their number. */
  async removeAbandoned(sinceMs: number): Promise<number> {
    const partial = join(this.#directory, PARTIAL);
    // Not through a link: only what this class made is removed.
    const own = await lstat(partial).then(
      (facts) => facts.isDirectory(),
      () => false,
    );
    const entries = own ? await readdir(partial).catch(() => []) : [];
    const names = new Set(entries.map((entry) => /^([0-9a-f]{64})\.(?:data|have|done)$/.exec(entry)?.[1] ?? ''));
    let removed = 0;
    for (const name of names) {
      if (name === '' || this.#turns.has(name)) continue;
      const free = await this.#turns.take(name);
      const paths = (['data', 'have', 'done'] as const).map((end) => this.#partial(name, end));
      try {
        const times = await Promise.all(paths.map((path) => lstat(path).then((facts) => facts.mtimeMs, missingTime)));
        if (Math.max(...times) >= sinceMs) continue;
        for (const path of paths) await rm(path, { force: true });
        removed += 1;
      } catch {
        // It stays for the next time: that it is in the way is no reason to receive nothing.
      } finally {
        free();
      }
    }
    return removed;
  }

  /** What stands there about a file that was begun, or was put at its name a moment ago. */
  #partial(name: string, end: 'data' | 'have' | 'done'): string {
    return join(this.#directory, PARTIAL, `${name}.${end}`);
  }

  /** No session is open any more, and each has ended in order. */
  end(): Promise<void> {
    return this.#notes.end();
  }

  async #sink(offer: BlobOffer, parts: readonly string[], name: string, free: () => void): Promise<BlobSink> {
    const partial = join(this.#directory, PARTIAL);
    await makeDirectory(partial);
    if (!(await lstat(partial)).isDirectory()) {
      throw new DiffKeeperError('DK_UNSAFE_PATH', `${partial} is no directory of its own`, { path: partial });
    }
    const dataPath = this.#partial(name, 'data');
    const journalPath = this.#partial(name, 'have');
    const data = await PartialFile.open(dataPath, { size: offer.size, engine: this.#engine });
    let journal: FileHandle;
    let have: [number, number][];
    try {
      have = await readJournal(journalPath, Math.min(offer.size, data.length));
      journal = await open(journalPath, 'a', 0o600);
    } catch (error) {
      await data.close();
      throw error;
    }
    const end = async (): Promise<void> => {
      await data.close();
      await journal.close();
    };
    return {
      have,
      // A short file is found by the digest.
      read: (offset, into) => data.read(offset, into),
      write: (offset, bytes) => writePiece(data, journal, offset, bytes, dataPath),
      finish: async () => {
        try {
          const facts = await data.finish(offer.size);
          await end();
          const path = await makeParents(this.#directory, parts);
          // Without it the file may be sent again, and no more.
          await this.#notes.add(this.#partial(name, 'done'), { path, facts }).catch(() => {});
          await renameDurable(dataPath, path);
          await rm(journalPath, { force: true });
          this.#remember(name, { path, facts });
          const resumedBytes = have.reduce((sum, [, length]) => sum + length, 0);
          this.#onFile({ name: parts.join('/'), path, size: offer.size, peer: offer.peer.name, resumedBytes });
        } catch (error) {
          await end().catch(() => {});
          throw fromSystemError(error, 'finish', dataPath);
        } finally {
          free();
        }
      },
      abort: async (reason) => {
        await end().catch(() => {});
        if (isDiffKeeperError(reason, 'DK_DIGEST_MISMATCH')) {
          await rm(journalPath, { force: true }).catch(() => {});
          await rm(dataPath, { force: true }).catch(() => {});
        }
        free();
      },
    };
  }

  #remember(name: string, placed: Placed): void {
    this.#done.set(name, placed);
    const [oldest] = this.#done.keys();
    if (this.#done.size > DONE_MAX && oldest !== undefined) this.#done.delete(oldest);
  }
}

async function writePiece(
  data: PartialFile,
  journal: FileHandle,
  offset: number,
  bytes: Buffer,
  path: string,
): Promise<void> {
  try {
    await data.write(offset, bytes);
    const entry = Buffer.allocUnsafe(ENTRY_BYTES);
    entry.writeBigUInt64LE(BigInt(offset), 0);
    entry.writeBigUInt64LE(BigInt(bytes.length), 8);
    await writeFully(journal, entry);
  } catch (error) {
    throw fromSystemError(error, 'write', path);
  }
}
