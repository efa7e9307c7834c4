/**
 * Large lane: files that do not fit one batch. Each is written to a temporary
 * name in steps, the next steps being read while one is written, hashed on the
 * way, and renamed only after its digest was compared. The memory is bounded by
 * 2 files x 4 steps x 16 MiB, and by what the store gathers these from.
 */
import { close, ftruncate } from 'node:fs';
import { promisify } from 'node:util';
import { type BytePath, isDiffKeeperError } from '../core/core.js';
import type { FileWriter } from '../engine/engine.js';
import type { Extent, Version } from '../format/format.js';
import type { VersionReader } from '../store/store.js';
import { AtOnce } from './at-once.js';
import { rowOf } from './attribute-rows.js';
import { STEP_BYTES_MAX, type Step, stepsOf } from './large-steps.js';
import { digestMismatch } from './place-small.js';
import type { RecoverJob } from './recover-job.js';
import { RootedDirectory } from './rooted-directory.js';
import { DIRECT_FILE_BYTES_MIN, WriteWay } from './write-way.js';

const FILES_AT_ONCE = 2;
/** Steps that are read, or wait to be written, beside the one that is: one alone leaves processors idle between its calls. */
const READ_STEPS = 3;
/** So many steps behind the last one being read, the disk is asked for the next already. */
const AHEAD_STEPS = 2;

const closeFd = promisify(close);
const truncateFd = promisify(ftruncate);

/** Bytes for one place in the file. */
interface Piece {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** Writes large files, a few at a time. */
export class LargeLane {
  readonly #job: RecoverJob;
  readonly #files = new AtOnce(FILES_AT_ONCE);
  readonly #way = new WriteWay();

  constructor(job: RecoverJob) {
    this.#job = job;
  }

  /** Starts a file as soon as there is room for it. Throws what ended an earlier one and the recover. */
  add(version: Version): Promise<void> {
    return this.#files.start(() => placeLarge(this.#job, version, this.#way));
  }

  drain(): Promise<void> {
    return this.#files.drain();
  }

  /** Waits until no file is being written, whatever came of it. */
  settle(): Promise<void> {
    return this.#files.settle();
  }
}

/** How the content is read: loosely, until the digest of a file shows that something is wrong with it. */
type Reading = 'read' | 'readLoosely';

async function placeLarge(job: RecoverJob, version: Version, way: WriteWay): Promise<void> {
  let reported = 0;
  const onBytes = (bytes: number): void => {
    reported += bytes;
    job.progress(bytes);
  };
  try {
    try {
      await placeOnce(job, version, { way, reading: 'readLoosely', onBytes });
    } catch (error) {
      if (!isDiffKeeperError(error, 'DK_DIGEST_MISMATCH')) throw error;
      // Now each blob is verified: that tells what is damaged.
      await placeOnce(job, version, { way, reading: 'read', onBytes: () => {} });
    }
  } catch (error) {
    job.progress(version.size - reported);
    job.fail(version.path, error);
  }
}

async function placeOnce(
  job: RecoverJob,
  version: Version,
  how: { readonly way: WriteWay; readonly reading: Reading; readonly onBytes: (bytes: number) => void },
): Promise<void> {
  const { way, reading, onBytes } = how;
  job.check();
  const { fd, temporary } = await job.engine.placeOpen(job.root, version.path);
  let placed = false;
  try {
    if (version.sparse) await truncateFd(fd, version.size);
    const writer = job.engine.openFileWriter(fd, job.store.hashAlgo);
    for await (const bytes of writeSteps(job, version, { writer, way, reading })) onBytes(bytes);
    const digest = await writer.finish(version.size);
    if (version.digest?.equals(digest) !== true) throw digestMismatch(version.path);
    job.check();
    await job.engine.placeCommit({
      root: job.root,
      fd,
      temporary,
      path: version.path,
      row: rowOf(version, job.owner),
      xattrs: version.xattrs,
      owner: job.owner,
    });
    placed = true;
    job.countWritten(version, version.size);
  } finally {
    await closeFd(fd);
    if (!placed) removeTemporary(job, temporary);
  }
}

/** Writes the content step by step; yields the bytes of each. The next steps are read while one is written. */
async function* writeSteps(
  job: RecoverJob,
  version: Version,
  how: { readonly writer: FileWriter; readonly way: WriteWay; readonly reading: Reading },
): AsyncGenerator<number> {
  const { writer, way } = how;
  const reader = job.store.reader(version);
  const { steps, prefetch } = await stepsOf(reader);
  // The pieces of a sparse file begin anywhere.
  const direct = version.size >= DIRECT_FILE_BYTES_MIN && !version.sparse;
  const rooms = roomsFor(job, steps, direct);
  const underWay: Promise<Piece[]>[] = [];
  let asked: Promise<unknown> = Promise.resolve();
  const begin = (index: number): void => {
    const step = steps[index];
    if (!step) return;
    const later = prefetch ? steps[index + AHEAD_STEPS] : undefined;
    if (later) asked = Promise.all([asked, reader.prefetch(later.offset, later.bytes)]);
    const pieces = loadStep(reader, step, { room: rooms[index % rooms.length] as Buffer, way: how.reading });
    // When writing fails nobody awaits what was read ahead any more.
    pieces.catch(() => {});
    underWay.push(pieces);
  };
  try {
    for (let index = 0; index < READ_STEPS; index += 1) begin(index);
    for (const [index, step] of steps.entries()) {
      const pieces = await (underWay.shift() as Promise<Piece[]>);
      // The room of the step before is free by now.
      begin(index + READ_STEPS);
      job.check();
      for (const { position, bytes } of pieces) {
        await (direct ? way.write(writer, position, bytes) : writer.write(position, bytes, false));
      }
      yield step.bytes;
    }
  } finally {
    // The caller may close the store as soon as it hears of an error.
    await Promise.all([...underWay.map((pieces) => pieces.catch(() => {})), asked]);
  }
}

/** Memory for the step that is written and those that are read. @param direct suits writes past the page cache */
function roomsFor(job: RecoverJob, steps: readonly Step[], direct: boolean): Buffer[] {
  const longest = steps.reduce((most, { bytes }) => Math.max(most, bytes), 0);
  return Array.from({ length: Math.min(steps.length, READ_STEPS + 1) }, () =>
    direct ? job.engine.alignedBuffer(STEP_BYTES_MAX) : Buffer.allocUnsafeSlow(longest),
  );
}

/** Reads one step into `room`; of a sparse file only what is not a hole. */
async function loadStep(
  reader: VersionReader,
  { offset, bytes: length }: Step,
  { room, way }: { readonly room: Buffer; readonly way: Reading },
): Promise<Piece[]> {
  const { version } = reader;
  const readExactly = async (position: number, bytes: number, into: Buffer): Promise<Uint8Array> => {
    const read = await reader[way](position, bytes, into);
    if (read.length !== bytes) throw digestMismatch(version.path);
    return read;
  };
  if (!version.sparse) return [{ position: offset, bytes: await readExactly(offset, length, room) }];
  const pieces: Piece[] = [];
  let at = 0;
  for (const { position, bytes } of dataRuns(await reader.extents(offset, length), offset)) {
    pieces.push({ position, bytes: await readExactly(position, bytes, room.subarray(at)) });
    at += bytes;
  }
  return pieces;
}

/** Merges neighbouring extents that hold data, and leaves the zeros out. */
export function dataRuns(extents: readonly Extent[], start: number): { position: number; bytes: number }[] {
  const runs: { position: number; bytes: number }[] = [];
  let position = start;
  for (const extent of extents) {
    const last = runs.at(-1);
    if (extent.digest !== null) {
      if (last && last.position + last.bytes === position) last.bytes += extent.length;
      else runs.push({ position, bytes: extent.length });
    }
    position += extent.length;
  }
  return runs;
}

function removeTemporary(job: RecoverJob, temporary: BytePath): void {
  const directory = new RootedDirectory(job.root);
  try {
    directory.unlink(temporary);
  } catch (error) {
    job.logger.warn({ error: String(error) }, 'a temporary file could not be removed');
  } finally {
    directory.close();
  }
}
