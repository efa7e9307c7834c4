/** Packs opened for reading: a few at a time, their headers checked once. */
import { type FileHandle, open } from 'node:fs/promises';
import { DiffKeeperError, fromSystemError, systemCode } from '../core/core.js';
import { type Checksum, checkPackHeader, PACK_HEADER_BYTES } from '../format/format.js';
import { packName } from './pack-names.js';

const OPEN_READERS_MAX = 16;

export class PackReaders {
  readonly #file: (pack: number) => string;
  readonly #storeId: Buffer;
  readonly #checksum: Checksum;
  readonly #handles = new Map<number, Promise<FileHandle>>();
  /** Damaged headers of packs that were opened for reading. */
  readonly #headers = new Map<number, DiffKeeperError>();

  /** @param file path of a pack */
  constructor(file: (pack: number) => string, storeId: Buffer, checksum: Checksum) {
    this.#file = file;
    this.#storeId = storeId;
    this.#checksum = checksum;
  }

  /** Closes a pack that is about to go, or to be written anew. */
  async forget(pack: number): Promise<void> {
    const handle = this.#handles.get(pack);
    this.#handles.delete(pack);
    await handle?.then((one) => one.close()).catch(() => {});
  }

  async close(): Promise<void> {
    for (const pack of [...this.#handles.keys()]) await this.forget(pack);
  }

  async #handle(pack: number): Promise<FileHandle> {
    const known = this.#handles.get(pack);
    if (known !== undefined) {
      this.#handles.delete(pack);
      this.#handles.set(pack, known);
      return known;
    }
    const opening = this.#open(pack);
    this.#handles.set(pack, opening);
    opening.catch(() => this.#handles.delete(pack));
    if (this.#handles.size > OPEN_READERS_MAX) {
      const oldest = this.#handles.keys().next().value;
      if (oldest !== undefined) await this.forget(oldest);
    }
    return opening;
  }

  async #open(pack: number): Promise<FileHandle> {
    const file = this.#file(pack);
    let handle: FileHandle;
    try {
      handle = await open(file, 'r');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') {
        throw new DiffKeeperError('DK_CORRUPT_PACK', `pack ${packName(pack)} is missing`, { path: file });
      }
      throw fromSystemError(error, 'open', file);
    }
    try {
      const header = Buffer.alloc(PACK_HEADER_BYTES);
      const { bytesRead } = await handle.read(header, 0, PACK_HEADER_BYTES, 0);
      const damage = checkPackHeader(header.subarray(0, bytesRead), pack, this.#storeId, this.#checksum);
      if (damage) this.#headers.set(pack, damage);
      else this.#headers.delete(pack);
      return handle;
    } catch (error) {
      await handle.close();
      throw fromSystemError(error, 'read', file);
    }
  }

  /** See `Packs.headerDamage`. */
  async headerDamage(pack: number): Promise<DiffKeeperError | null> {
    await this.#handle(pack);
    return this.#headers.get(pack) ?? null;
  }

  /** See `Packs.read`. */
  async read(
    pack: number,
    { offset, bytes }: { readonly offset: number; readonly bytes: number },
    into?: Buffer,
  ): Promise<Buffer> {
    const handle = await this.#handle(pack);
    const buffer = into ?? Buffer.allocUnsafe(bytes);
    let done = 0;
    while (done < bytes) {
      const { bytesRead } = await handle.read(buffer, done, bytes - done, offset + done).catch((error: unknown) => {
        throw fromSystemError(error, 'read', this.#file(pack));
      });
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return buffer.subarray(0, done);
  }
}
