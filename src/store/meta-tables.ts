/**
 * Checksums of LevelDB's tables. LevelDB does not check what it reads from them: a flipped bit can hide a key without
 * a word, or trip an assertion that ends the whole process. Tables never change once written, so their checksums are
 * noted when the database is closed and compared before it is opened again.
 *
 *   file := (name, bytes, XXH3-64 hex, newline)*, XXH3-64 hex of the text before it
 */
import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { systemCode, writeFileAdvisory } from '../core/core.js';
import type { Checksum } from '../format/format.js';

const TABLE = /^\d+\.(ldb|sst)$/;

export class MetaTables {
  readonly #directory: string;
  readonly #file: string;
  readonly #checksum: Checksum;
  /** Name -> bytes and checksum. */
  #known = new Map<string, string>();
  /** What the file said when it was read or written: the same is not written again. */
  #noted: string | null = null;

  /** @param file where the checksums are kept; advisory: without it nothing is compared */
  constructor(directory: string, file: string, checksum: Checksum) {
    this.#directory = directory;
    this.#file = file;
    this.#checksum = checksum;
  }

  /** Name of a table that is not as it was written; null when none is. Nobody may have the database open. */
  async findDamage(): Promise<string | null> {
    await this.#load();
    for (const [name, expected] of this.#known) {
      const actual = await this.#sum(name);
      // LevelDB removes tables by itself; one that it misses makes it fail to open.
      if (actual !== null && actual !== expected) return name;
    }
    return null;
  }

  /** Notes tables that are new and forgets those that are gone. Nobody may have the database open. */
  async note(): Promise<void> {
    const names = (await readdir(this.#directory)).filter((name) => TABLE.test(name)).sort();
    const next = new Map<string, string>();
    for (const name of names) {
      const sum = this.#known.get(name) ?? (await this.#sum(name));
      if (sum !== null) next.set(name, sum);
    }
    this.#known = next;
    const text = [...next].map(([name, sum]) => `${name} ${sum}\n`).join('');
    // Caches go at times, whoever removes them: what was read once may not be there any more.
    if (text === this.#noted && (await lstat(this.#file).catch(() => null))?.isFile()) return;
    this.#noted = null;
    await writeFileAdvisory(this.#file, Buffer.from(text + this.#hex(Buffer.from(text))));
    this.#noted = text;
  }

  /** Before the database is replaced: another one counts its tables from the beginning again. */
  async forget(): Promise<void> {
    this.#known.clear();
    this.#noted = null;
    await rm(this.#file, { force: true });
  }

  #hex(bytes: Buffer): string {
    return this.#checksum(bytes).toString(16).padStart(16, '0');
  }

  async #sum(name: string): Promise<string | null> {
    try {
      const bytes = await readFile(path.join(this.#directory, name));
      return `${bytes.length} ${this.#hex(bytes)}`;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return null;
      throw error;
    }
  }

  async #load(): Promise<void> {
    this.#known.clear();
    this.#noted = null;
    const all = await readFile(this.#file, 'latin1').catch(() => '');
    const end = all.lastIndexOf('\n') + 1;
    const text = all.slice(0, end);
    if (all.slice(end) !== this.#hex(Buffer.from(text, 'latin1'))) return;
    this.#noted = text;
    for (const line of text.split('\n')) {
      const split = line.indexOf(' ');
      const name = line.slice(0, split);
      if (TABLE.test(name)) this.#known.set(name, line.slice(split + 1));
    }
  }
}
