/**
 * Gathers what could not be brought back. A recover goes on past damage, so the
 * list is the only trace of it: each entry is also written to the store's
 * quarantine folder as one line of JSON.
 */
import { appendFile, mkdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type BytePath,
  isDiffKeeperError,
  LIMITS,
  type Logger,
  pathBytes,
  pathFromText,
  pathToText,
  systemCode,
} from '../core/core.js';
import type { RecoverDamage } from './types.js';

/** Damage listed one by one; beyond this only counted, so that a lost disk does not fill the memory too. */
const LISTED_MAX = 10_000;

/** Collects damage in the order in which it is found. */
export class DamageLog {
  readonly entries: RecoverDamage[] = [];
  /** All damage, also what is no longer listed. */
  count = 0;
  readonly #paths = new Set<BytePath>();
  readonly #codes = new Set<string>();
  #unwritten: string[] = [];

  /** Records that this entry is not as the checkpoint has it. The first finding about a path stands. */
  add(path: BytePath, code: string, message: string): void {
    if (this.#paths.has(path)) return;
    this.#paths.add(path);
    this.#push(entryDamage(path, code, message));
  }

  /** As `add`, from what was thrown. */
  addError(path: BytePath, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const code = isDiffKeeperError(error) ? error.code : 'DK_IO';
    // Many system errors name their code in the text already.
    const system = code === 'DK_IO' ? systemCode(error) : '';
    const known = system === '' || system.startsWith('DK_') || message.includes(system);
    this.add(path, code, known ? message : `${system}: ${message}`);
  }

  /** Records that the tree as a whole is not what the checkpoint says. */
  addRoot(message: string): void {
    this.#push({ kind: 'root', path: '', code: 'DK_DIGEST_MISMATCH', message });
  }

  has(path: BytePath): boolean {
    return this.#paths.has(path);
  }

  /** Whether any damage so far carries this code. */
  hasCode(code: string): boolean {
    return this.#codes.has(code);
  }

  #push(damage: RecoverDamage): void {
    this.count += 1;
    this.#codes.add(damage.code);
    if (this.entries.length >= LISTED_MAX) return;
    this.entries.push(damage);
    this.#unwritten.push(JSON.stringify(damage));
  }

  /**
   * Appends what is new to `<quarantinePath>/recover.jsonl`. A store that cannot be written is no reason to fail a
   * recover, so trouble is only logged.
   */
  async write(quarantinePath: string, facts: object, logger: Logger): Promise<void> {
    const lines = this.#unwritten;
    if (lines.length === 0) return;
    this.#unwritten = [];
    const head = JSON.stringify(facts).slice(1, -1);
    const text = lines.map((line) => `{${head},${line.slice(1)}\n`).join('');
    try {
      await mkdir(quarantinePath, { recursive: true });
      const file = join(quarantinePath, 'recover.jsonl');
      const known = await stat(file).then(
        ({ size }) => size,
        () => 0,
      );
      if (known > LIMITS.recoverLogBytes) await rename(file, join(quarantinePath, 'recover-before.jsonl'));
      await appendFile(file, text);
    } catch (error) {
      logger.warn({ error: String(error) }, 'the quarantine log could not be written');
    }
  }
}

/** Damage of one entry, with its raw bytes when they are not text. */
export function entryDamage(path: BytePath, code: string, message: string): RecoverDamage {
  const text = pathToText(path);
  const damage = { kind: 'entry' as const, path: text, code, message };
  return pathFromText(text) === path ? damage : { ...damage, pathBase64: pathBytes(path).toString('base64') };
}
