/**
 * Records of versions that arrive for a checkpoint that is not complete yet, in a file `incoming/SEQUENCE-TIME-MARK`: so
 * many that they should not travel twice when a run is cut. Advisory: nothing is synced, and what does not check out is
 * dropped and asked for again. In an encrypted store the records are sealed.
 *
 *   file := (u32 bytes, record as this store's packs have them)*
 */
import { open, readdir, readFile, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { AppendFile, fromSystemError, isDiffKeeperError, makeDirectory } from '../core/core.js';
import { RECORD_BYTES_MAX } from '../format/format.js';
import type { VersionSpool } from './exchange-types.js';
import type { RecordCoder } from './record-coder.js';

const LENGTH_BYTES = 4;

export class SpoolFile implements VersionSpool {
  readonly #file: string;
  readonly #records: RecordCoder;
  #writer: AppendFile | null = null;
  /** Bytes of the file that checked out. */
  #good = 0;

  private constructor(file: string, records: RecordCoder) {
    this.#file = file;
    this.#records = records;
  }

  /** The one of this name; others are removed. @throws DK_IO, DK_DISK_FULL */
  static async open(directory: string, name: string, records: RecordCoder): Promise<SpoolFile> {
    try {
      await makeDirectory(directory);
      for (const other of await readdir(directory)) if (other !== name) await rm(path.join(directory, other));
      const file = path.join(directory, name);
      await (await open(file, 'a', 0o600)).close();
      return new SpoolFile(file, records);
    } catch (error) {
      throw fromSystemError(error, 'use', directory);
    }
  }

  async *read(): AsyncGenerator<Buffer> {
    // As long as what the versions take in memory anyway, or shorter: they are compressed.
    const bytes = await readFile(this.#file).catch((error: unknown) => {
      throw fromSystemError(error, 'read', this.#file);
    });
    for (;;) {
      const plain = this.#next(bytes);
      if (!plain) return;
      this.#good += LENGTH_BYTES + bytes.readUInt32LE(this.#good);
      yield plain;
    }
  }

  #next(bytes: Buffer): Buffer | null {
    const at = this.#good + LENGTH_BYTES;
    if (at > bytes.length) return null;
    const end = at + bytes.readUInt32LE(this.#good);
    if (end > bytes.length || end - at > RECORD_BYTES_MAX) return null;
    const own = bytes.subarray(at, end);
    try {
      return this.#records.toPlain(own, this.#records.decode(own, 0));
    } catch (error) {
      if (isDiffKeeperError(error)) return null;
      throw error;
    }
  }

  async append(record: Buffer): Promise<void> {
    try {
      if (!this.#writer) {
        this.#writer = await AppendFile.open(this.#file, this.#good);
        await this.#writer.truncate(this.#good);
      }
      const own = this.#records.fromPlain(record);
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32LE(own.length);
      await this.#writer.append([length, own]);
    } catch (error) {
      throw fromSystemError(error, 'write', this.#file);
    }
  }

  async close(): Promise<void> {
    await this.#writer?.close().catch(() => {});
    this.#writer = null;
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.#file, { force: true }).catch((error: unknown) => {
      throw fromSystemError(error, 'remove', this.#file);
    });
  }
}
