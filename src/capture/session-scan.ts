/** Scans of one session: what differs from the index, and what the store has that the index never heard of. */
import { type BytePath, isWithin } from '../core/core.js';
import type { Store } from '../store/store.js';
import { rowType } from './entry-version.js';
import type { StateMemory } from './state-memory.js';
import { type ScanFindings, StateScan, type StateScanOptions } from './state-scan.js';

export interface SessionScanOptions extends Omit<StateScanOptions, 'index' | 'links'> {
  readonly state: Store;
  readonly memory: StateMemory;
  /** Throws when the state directory is no longer the one that the session knows. */
  readonly assertSameDirectory: () => Promise<void>;
}

export class SessionScan {
  readonly #options: SessionScanOptions;

  constructor(options: SessionScanOptions) {
    this.#options = options;
  }

  /**
   * Looks at these paths, or (null) at everything; `rescan`: entries that count as changed whatever their stat says.
   * What a full scan misses is among the removed; what a removed directory held is not: see `addDropped`.
   */
  async look(paths: readonly BytePath[] | null, rescan: readonly BytePath[]): Promise<ScanFindings> {
    const { memory } = this.#options;
    for (const path of rescan) {
      const row = memory.index.get(path);
      if (row) memory.index.put([path], row, Uint8Array.of(0));
    }
    const scan = new StateScan({ ...this.#options, index: memory.index, links: memory.links });
    const findings = paths && memory.primed ? await scan.marked([...paths, ...rescan]) : await scan.full();
    await this.#options.assertSameDirectory();
    if (findings.full) await this.#addMissing(scan, findings);
    memory.links.learn(findings.found);
    return findings;
  }

  /** Adds to the removed what the store has below directories that are gone. Asks the store alone. */
  async addDropped({ found, removed, droppedTrees }: ScanFindings): Promise<void> {
    if (droppedTrees.length === 0) return;
    for await (const batch of this.#options.state.entries({ under: droppedTrees })) {
      for (const { path } of batch) if (!found.has(path)) removed.add(path);
    }
  }

  /** What the index cannot know: entries of the store that it has never heard of. */
  async #addMissing(scan: StateScan, findings: ScanFindings): Promise<void> {
    const { memory, state } = this.#options;
    const { found, removed } = findings;
    const missing = [...memory.unindexed].filter((path) => !found.has(path));
    if (!memory.primed && state.newest) {
      const unreadable = [...found].filter(([, row]) => rowType(row) < 0).map(([path]) => path);
      for await (const batch of state.entries()) {
        for (const { path } of batch) {
          // The state directory itself is there, and no finding of a scan.
          if (path !== '' && !found.has(path) && !unreadable.some((above) => isWithin(path, above))) missing.push(path);
        }
      }
    }
    await scan.lookAgain(findings, missing);
    for (const path of missing) if (!found.has(path)) removed.add(path);
  }
}
