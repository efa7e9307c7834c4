/**
 * Before a freeze point: what has held still for a while is read and stored while the application still runs. The
 * freeze point then only has to see that it has not moved since.
 */
import { type BytePath, systemClock } from '../core/core.js';
import { ENTRY, STAT } from '../engine/engine.js';
import type { Version } from '../format/format.js';
import { type CaptureSetting, CaptureWork } from './capture-work.js';
import { type Entry, rowSize, rowType, rowValue } from './entry-version.js';
import { addTooLong, type ScanFindings } from './state-scan.js';
import { takeFindings } from './take-findings.js';

/** Less than this is read within a few milliseconds: not worth reading it twice if it moves after all. */
const WORTH_ENTRIES = 256;
const WORTH_BYTES = 4 << 20;
/** What changed more recently is likely to change again, ms. */
const STILL_MS = 100;
/** The same for what takes long to read and would leave much behind in the store: large files, ms. */
const STILL_LARGE_MS = 1000;
/** Reading speed to expect, bytes per ms. */
const READ_BYTES_PER_MS = 1 << 20;

/** What was read: as good as the stat row it goes with. */
export interface AheadCandidate {
  readonly row: BigInt64Array;
  /** Undefined: as the store has it already. */
  readonly version: Version | undefined;
  readonly head: Version | undefined;
}

/** Stores contents, and keeps what would become versions to itself. */
class AheadWork extends CaptureWork {
  readonly #candidates: Map<BytePath, AheadCandidate>;

  constructor(setting: CaptureSetting, candidates: Map<BytePath, AheadCandidate>) {
    super(setting);
    this.#candidates = candidates;
  }

  override write(entry: Entry, version: Version, head: Version | undefined): void {
    this.#candidates.set(entry.path, { row: entry.row, version, head });
  }

  override settle(entry: Entry): void {
    this.#candidates.set(entry.path, { row: entry.row, version: undefined, head: undefined });
  }

  /** It comes up again at the freeze point. */
  override skip(): void {}
}

/** Everything that was looked at and read before a freeze point. */
export class Ahead {
  readonly candidates = new Map<BytePath, AheadCandidate>();
  readonly #paths = new Set<BytePath>();
  readonly #removed = new Set<BytePath>();
  readonly #tooLong = new Set<BytePath>();
  /** The whole directory was looked at. */
  full = false;
  scanned = 0;

  /** Paths to look at again at the freeze point. */
  get paths(): Iterable<BytePath> {
    return this.#paths;
  }

  /** Reads what is worth it. `newSetting` is called only then. */
  async take(findings: ScanFindings, newSetting: () => CaptureSetting): Promise<void> {
    this.full ||= findings.full;
    this.scanned += findings.scanned;
    for (const path of findings.found.keys()) this.#paths.add(path);
    for (const path of findings.removed) {
      this.#paths.add(path);
      this.#removed.add(path);
    }
    for (const path of findings.tooLong) addTooLong({ tooLong: this.#tooLong }, path);
    const still = stillEntries(findings);
    if (still.size === 0) return;
    const part = { ...findings, found: still, removed: new Set<BytePath>(), tooLong: new Set<BytePath>() };
    await takeFindings(new AheadWork(newSetting(), this.candidates), part);
  }

  /** These are read at the freeze point, whatever was read before: their times may not tell that they moved. */
  forget(paths: readonly BytePath[]): void {
    for (const path of paths) this.candidates.delete(path);
  }

  /** Adds to the findings of the freeze point what only the full scan before it could know. */
  complete(findings: ScanFindings, isKnown: (path: BytePath) => boolean): ScanFindings {
    // Of what the index knows, the freeze point has the last word.
    for (const path of this.#removed) if (!isKnown(path) && !findings.found.has(path)) findings.removed.add(path);
    for (const path of this.#tooLong) addTooLong(findings, path);
    return { ...findings, full: findings.full || this.full, scanned: findings.scanned + this.scanned };
  }
}

function stillEntries({ found }: ScanFindings): Map<BytePath, BigInt64Array> {
  const nowMs = systemClock.nowMs();
  const still = new Map<BytePath, BigInt64Array>();
  let bytes = 0;
  for (const [path, row] of found) {
    const type = rowType(row);
    if (type < 0 || type === ENTRY.special) continue;
    const size = rowSize(row);
    const changedMs = Number(rowValue(row, STAT.ctimeNs) / 1_000_000n);
    const stillMs = size < WORTH_BYTES ? STILL_MS : STILL_LARGE_MS + size / READ_BYTES_PER_MS;
    if (changedMs > nowMs - stillMs) continue;
    still.set(path, row);
    if (type === ENTRY.file) bytes += size;
  }
  return still.size >= WORTH_ENTRIES || bytes >= WORTH_BYTES ? still : new Map();
}
