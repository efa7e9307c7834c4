/**
 * What was put at its name, and by what it is known again: a sender that did not hear of it, since this process or the
 * connection ended just then, need not send it again. Of large files a note stands in `.diffkeeper-partial` for a while.
 *
 *   {"path":…,"dev":"…","ino":"…","mtimeNs":"…","size":"…"}
 */
import type { BigIntStats } from 'node:fs';
import { lstat, readFile, rm, writeFile } from 'node:fs/promises';

/** Smaller files are sent again sooner than a note costs. */
const NOTED_BYTES_MIN = 8 << 20;
/** A sender asks again within seconds. */
const KEPT_MS = 60_000;
const FACTS = ['dev', 'ino', 'mtimeNs', 'size'] as const;

export interface Placed {
  readonly path: string;
  readonly facts: Pick<BigIntStats, (typeof FACTS)[number]>;
}

/** Whether it is still there: else the same bytes, sent again, are not here already. */
export async function isThere({ path, facts }: Placed): Promise<boolean> {
  const now = await lstat(path, { bigint: true }).catch(() => undefined);
  return now !== undefined && FACTS.every((name) => now[name] === facts[name]);
}

/** The notes of one receiver. */
export class PlacedNotes {
  readonly #forgetting = new Map<string, NodeJS.Timeout>();

  /**
   * Notes that a file is about to be put at its name. Not synced: after a power failure the file is sent again. Throws
   * system errors.
   */
  async add(note: string, { path, facts }: Placed): Promise<void> {
    if (facts.size < NOTED_BYTES_MIN) return;
    const text = Object.fromEntries(FACTS.map((name) => [name, `${facts[name]}`]));
    await writeFile(note, JSON.stringify({ path, ...text }), { mode: 0o600 });
    clearTimeout(this.#forgetting.get(note));
    this.#forgetting.set(note, setTimeout(() => void this.#forget(note), KEPT_MS).unref());
  }

  /** What a note says of a file of this size; undefined without one, or when it is torn. */
  async read(note: string, size: number): Promise<Placed | undefined> {
    if (size < NOTED_BYTES_MIN) return undefined;
    try {
      return parsePlaced(await readFile(note, 'utf8'));
    } catch {
      return undefined;
    }
  }

  /** Removes them: all senders have heard of their files. */
  async end(): Promise<void> {
    for (const note of this.#forgetting.keys()) await this.#forget(note);
  }

  async #forget(note: string): Promise<void> {
    clearTimeout(this.#forgetting.get(note));
    this.#forgetting.delete(note);
    await rm(note, { force: true }).catch(() => {});
  }
}

/** Throws for what is none, whatever. */
function parsePlaced(text: string): Placed {
  const { path, ...facts }: Record<string, unknown> = JSON.parse(text);
  const number = (name: (typeof FACTS)[number]): bigint => BigInt(String(facts[name]));
  if (typeof path !== 'string') throw new TypeError('a note without a path');
  return { path, facts: { dev: number('dev'), ino: number('ino'), mtimeNs: number('mtimeNs'), size: number('size') } };
}
