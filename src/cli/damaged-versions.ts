/** Names versions whose records are damaged, for commands that go on past them and end with exit code 3. */
import type { OnUnreadable } from '../index.js';
import { type Output, pathFacts, pathShown } from './output.js';
import { count } from './units.js';

export class DamagedVersions {
  readonly #output: Output;
  readonly #named = new Set<string>();
  /** Versions that were named by the checkpoint that asks now. */
  #since = 0;
  count = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Names each version once. */
  readonly take: OnUnreadable = ({ path, sequence, error }) => {
    this.#since += 1;
    const key = `${sequence} ${path}`;
    if (this.#named.has(key)) return;
    this.#named.add(key);
    this.count += 1;
    const { code, message } = error;
    this.#output.record('damaged', { ...pathFacts(path), sequence, code, message });
    this.#output.note(`damaged: ${pathShown(path) || '.'} of checkpoint ${sequence}: ${message} (${code})`);
  };

  /** A checkpoint lacks so many versions; of those that `take` was not told of since the last call nobody knows the paths. */
  takeUnnamed(sequence: number, versions: number): void {
    const unnamed = versions - this.#since;
    this.#since = 0;
    if (unnamed <= 0) return;
    this.count += unnamed;
    const message = `${count(unnamed, 'version')} of it cannot be had any more`;
    this.#output.record('damaged', { sequence, versions: unnamed, code: 'DK_CORRUPT_RECORD', message });
    this.#output.note(`damaged: checkpoint ${sequence}: ${message}`);
  }
}
