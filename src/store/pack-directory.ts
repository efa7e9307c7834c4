/** Names of the files of packs. */
import { readdir } from 'node:fs/promises';
import * as path from 'node:path';
import { fromSystemError, fsyncDirectory, unlinkDurable } from '../core/core.js';
import { packName } from './pack-names.js';

/** What a pack is called while it is written anew. */
const UNFINISHED = '.unfinished';

export class PackDirectory {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  file(pack: number): string {
    return path.join(this.#directory, packName(pack));
  }

  /** Where a pack is written anew before it takes the place of the old one. */
  unfinishedFile(pack: number): string {
    return `${this.file(pack)}${UNFINISHED}`;
  }

  /** Removes what a crash has left of packs that were being written anew. Throws system errors. */
  async removeUnfinished(): Promise<void> {
    for (const name of await this.#names()) {
      if (name.endsWith(UNFINISHED)) await unlinkDurable(path.join(this.#directory, name));
    }
  }

  /** Makes all names durable. Throws DK_IO. */
  async sync(): Promise<void> {
    await fsyncDirectory(this.#directory).catch((error: unknown) => {
      throw fromSystemError(error, 'sync', this.#directory);
    });
  }

  /** Numbers of all packs on disk, ascending. Throws DK_IO. */
  async list(): Promise<number[]> {
    return (await this.#names())
      .filter((name) => /^\d{8}\.dkp$/.test(name))
      .map((name) => Number.parseInt(name, 10))
      .sort((one, other) => one - other);
  }

  #names(): Promise<string[]> {
    const refused = (error: unknown) => Promise.reject(fromSystemError(error, 'list', this.#directory));
    return readdir(this.#directory).catch(refused);
  }
}
