/**
 * Small lane: files of at most one blob's size and symbolic links, in batches. While one is looked up, another is
 * decoded, and a third is being placed.
 */
import { type BytePath, DiffKeeperError, joinBytes, LIMITS, pathToText } from '../core/core.js';
import { STAT_COLUMNS } from '../engine/engine.js';
import { type Digest, VERSION_TYPE, type Version } from '../format/format.js';
import { AtOnce } from './at-once.js';
import { fillRow } from './attribute-rows.js';
import type { RecoverJob } from './recover-job.js';

/** One in each phase. */
const BATCHES_AT_ONCE = 3;
/** The first batch is short and each one twice as long as the one before: decoding begins while the rest is looked up. */
const FIRST_BATCH_BYTES = 1 << 20;

/** Entries with their verified content, ready to be placed. */
interface Gathered {
  readonly versions: Version[];
  /** File content or link text per version. */
  readonly contents: Uint8Array[];
}

/** Whether an entry travels in this lane. */
export function isSmall(version: Version): boolean {
  return version.type === VERSION_TYPE.symlink || version.size <= LIMITS.blobBytes;
}

/** Collects small entries into batches and places them. */
export class SmallLane {
  readonly #job: RecoverJob;
  #waiting: Version[] = [];
  #waitingBytes = 0;
  #batchBytes = FIRST_BATCH_BYTES;
  readonly #batches = new AtOnce(BATCHES_AT_ONCE);

  constructor(job: RecoverJob) {
    this.#job = job;
  }

  /** Takes an entry; may wait for a batch to be read. */
  async add(version: Version): Promise<void> {
    this.#waiting.push(version);
    this.#waitingBytes += version.size;
    if (this.#waitingBytes >= this.#batchBytes || this.#waiting.length >= LIMITS.batchFiles) await this.#flush();
  }

  /** Resolves when everything taken so far is in place; throws what ended the recover. */
  async drain(): Promise<void> {
    await this.#flush();
    await this.#batches.drain();
  }

  /** Waits for native work under way, whatever comes of it. */
  settle(): Promise<void> {
    return this.#batches.settle();
  }

  async #flush(): Promise<void> {
    const versions = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (versions.length === 0) return;
    this.#batchBytes = Math.min(2 * this.#batchBytes, LIMITS.batchBytes);
    this.#job.check();
    await this.#batches.start(async () => {
      const gathered = await gather(this.#job, versions);
      this.#job.check();
      await place(this.#job, gathered);
    });
  }
}

/** Reads and verifies contents; what cannot be read goes to the damage log and out of the batch. */
async function gather(job: RecoverJob, versions: readonly Version[]): Promise<Gathered> {
  const contents = new Map<Version, Uint8Array>();
  const whole: Version[] = [];
  const toHash: Version[] = [];
  for (const version of versions) {
    if (version.recipe.kind === 'whole' && version.type === VERSION_TYPE.file) {
      whole.push(version);
      continue;
    }
    toHash.push(version);
    if (version.type === VERSION_TYPE.symlink) contents.set(version, version.linkText);
    else if (version.recipe.kind === 'empty') contents.set(version, new Uint8Array(0));
    else await readPieces(job, version, contents);
  }
  await readWhole(job, whole, contents);
  await verify(job, toHash, contents);
  const kept = versions.filter((version) => contents.has(version));
  for (const version of versions) if (!contents.has(version)) job.progress(version.size);
  return {
    versions: kept,
    contents: kept.map((version) => contents.get(version) as Uint8Array),
  };
}

async function readWhole(
  job: RecoverJob,
  versions: readonly Version[],
  contents: Map<Version, Uint8Array>,
): Promise<void> {
  if (versions.length === 0) return;
  const blobs = await job.store.readBlobs(versions.map((version) => version.digest as Digest));
  for (const [index, version] of versions.entries()) {
    const blob = blobs[index];
    if (blob === undefined || blob instanceof Error) job.fail(version.path, blob ?? missing(version.path));
    else if (blob.length !== version.size) job.fail(version.path, wrongSize(version, blob.length));
    else contents.set(version, blob);
  }
}

async function readPieces(job: RecoverJob, version: Version, contents: Map<Version, Uint8Array>): Promise<void> {
  try {
    const bytes = await job.store.reader(version).read(0, version.size);
    if (bytes.length !== version.size) throw wrongSize(version, bytes.length);
    contents.set(version, bytes);
  } catch (error) {
    job.fail(version.path, error);
  }
}

/** Compares digests of what was not read as one verified blob; drops what differs. */
async function verify(
  job: RecoverJob,
  versions: readonly Version[],
  contents: Map<Version, Uint8Array>,
): Promise<void> {
  const present = versions.filter((version) => contents.has(version));
  if (present.length === 0) return;
  const pieces = present.map((version) => contents.get(version) as Uint8Array);
  const lengths = Uint32Array.from(pieces, (piece) => piece.length);
  const digests = await job.engine.digestMany(job.store.hashAlgo, joinBytes(pieces), lengths);
  for (const [index, version] of present.entries()) {
    const right = version.digest?.equals(digests.subarray(index * 32, index * 32 + 32)) === true;
    if (right && pieces[index]?.length === version.size) continue;
    contents.delete(version);
    job.fail(version.path, digestMismatch(version.path));
  }
}

async function place(job: RecoverJob, { versions, contents }: Gathered): Promise<void> {
  if (versions.length === 0) return;
  const rows = new BigInt64Array(versions.length * STAT_COLUMNS);
  for (const [index, version] of versions.entries()) fillRow(rows, index, version, { owner: job.owner });
  const status = await job.engine.placeFiles({
    root: job.root,
    paths: versions.map((version) => version.path),
    rows,
    lengths: Uint32Array.from(contents, (content) => content.length),
    data: joinBytes(contents),
    xattrLengths: Uint32Array.from(versions, (version) => version.xattrs.length),
    xattrs: Buffer.concat(versions.map((version) => version.xattrs)),
    owner: job.owner,
  });
  let bytes = 0;
  for (const [index, version] of versions.entries()) {
    bytes += version.size;
    const code = status[index] ?? 0;
    if (code === 0) job.countWritten(version, version.type === VERSION_TYPE.file ? version.size : 0);
    else job.failStatus(version.path, code);
  }
  job.progress(bytes);
}

function missing(path: BytePath): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_PACK', `the content of ${pathToText(path)} is missing`, {
    path: pathToText(path),
  });
}

function wrongSize(version: Version, actual: number): DiffKeeperError {
  const path = pathToText(version.path);
  return new DiffKeeperError(
    'DK_CORRUPT_RECIPE',
    `${path} should have ${version.size} bytes but its content has ${actual}`,
    {
      path,
      expected: version.size,
      actual,
    },
  );
}

/** The bytes that came together are not those that were captured. */
export function digestMismatch(path: BytePath): DiffKeeperError {
  const text = pathToText(path);
  return new DiffKeeperError('DK_DIGEST_MISMATCH', `the content of ${text} does not match its digest`, { path: text });
}
