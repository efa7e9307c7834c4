/** The files of schema 1, by path and by content, and the directories that they need. */
import { type BytePath, pathParent } from '../core/core.js';
import type { Digest } from '../format/format.js';
import type { SnapshotFacts } from './snapshot-tables.js';

export interface FoundFile {
  readonly path: BytePath;
  readonly facts: SnapshotFacts;
}

export class SnapshotFiles {
  readonly #facts = new Map<BytePath, SnapshotFacts>();
  /** Paths that have a content, by its digest. */
  readonly #paths = new Map<string, BytePath[]>();
  /** Directories above files, with how many files lie below each. */
  readonly #directories = new Map<BytePath, number>();

  /** @param facts where a file stands in the way of another, the later of them counts */
  constructor(facts: ReadonlyMap<BytePath, SnapshotFacts> = new Map()) {
    const byAge = [...facts].sort(([, one], [, other]) => one.sequence - other.sequence);
    for (const [path, known] of byAge) this.set(path, known);
  }

  get facts(): ReadonlyMap<BytePath, SnapshotFacts> {
    return this.#facts;
  }

  get directories(): Iterable<BytePath> {
    return this.#directories.keys();
  }

  /** Files and directories. */
  get entries(): number {
    return this.#facts.size + this.#directories.size;
  }

  isDirectory(path: BytePath): boolean {
    return this.#directories.has(path);
  }

  /** Adds or replaces a file; files that cannot be beside it are gone. */
  set(path: BytePath, facts: SnapshotFacts): void {
    for (const gone of this.inTheWay(path)) this.#delete(gone);
    const known = this.#facts.get(path);
    if (known) this.#forgetContent(path, known.digest);
    else this.#countAbove(path, 1);
    this.#facts.set(path, facts);
    const key = facts.digest.toString('latin1');
    const others = this.#paths.get(key);
    if (others) others.push(path);
    else this.#paths.set(key, [path]);
  }

  /** Files that there cannot be beside a file of this path: those above it and those below it. Removals are not kept, so they stay until then. */
  inTheWay(path: BytePath): BytePath[] {
    const found: BytePath[] = [];
    for (let up = pathParent(path); up !== ''; up = pathParent(up)) if (this.#facts.has(up)) found.push(up);
    if (!this.#directories.has(path)) return found;
    for (const file of this.#facts.keys()) if (file.startsWith(`${path}/`)) found.push(file);
    return found;
  }

  /** All files that have this content, of which there may be very many: mostly the first one does. */
  *withContent(digest: Digest): Generator<FoundFile> {
    const paths = this.#paths.get(digest.toString('latin1')) ?? [];
    for (const path of paths) yield { path, facts: this.#facts.get(path) as SnapshotFacts };
  }

  #delete(path: BytePath): void {
    const known = this.#facts.get(path);
    if (!known) return;
    this.#facts.delete(path);
    this.#forgetContent(path, known.digest);
    this.#countAbove(path, -1);
  }

  #forgetContent(path: BytePath, digest: Digest): void {
    const key = digest.toString('latin1');
    const left = (this.#paths.get(key) ?? []).filter((other) => other !== path);
    if (left.length > 0) this.#paths.set(key, left);
    else this.#paths.delete(key);
  }

  #countAbove(path: BytePath, files: number): void {
    for (let up = pathParent(path); up !== ''; up = pathParent(up)) {
      const count = (this.#directories.get(up) ?? 0) + files;
      if (count > 0) this.#directories.set(up, count);
      else this.#directories.delete(up);
    }
  }
}
