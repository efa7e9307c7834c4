/** Newest version of every live path, straight from the metadata. */
import type { BytePath } from '../core/core.js';
import { ByteReader, ByteWriter, decodeVersionBody, VERSION_TYPE, type Version } from '../format/format.js';
import { childRange, deepRange, headKey, headPath, KEY_LETTER, type KeyRange, prefixRange } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';

/** @param body as `encodeVersionBody` writes it */
export function encodeHead(body: Uint8Array, sequence: number): Buffer {
  return new ByteWriter(body.length + 8).varint(sequence).bytes(body).finish();
}

function decodeHead(path: BytePath, bytes: Buffer): Version {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_INDEX', 'head');
  return decodeVersionBody(reader, path, reader.varint());
}

function typeOfHead(bytes: Buffer): number {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_INDEX', 'head');
  reader.varint();
  return reader.u8();
}

export class Heads {
  readonly #meta: MetaReader;

  constructor(meta: MetaReader) {
    this.#meta = meta;
  }

  async get(paths: readonly BytePath[]): Promise<(Version | undefined)[]> {
    const values = await this.#meta.getMany(paths.map(headKey));
    return values.map((value, index) => (value ? decodeHead(paths[index] as BytePath, value) : undefined));
  }

  async *#range(range: KeyRange): AsyncGenerator<Version[]> {
    for await (const entries of this.#meta.range(range)) {
      yield entries.map(([key, value]) => decodeHead(headPath(key), value));
    }
  }

  /** Every live entry. */
  all(): AsyncGenerator<Version[]> {
    return this.#range(prefixRange(Buffer.from([KEY_LETTER.head])));
  }

  /** How many live entries are files; reads no more of each than its type. */
  async countFiles(): Promise<number> {
    let files = 0;
    for await (const entries of this.#meta.range(prefixRange(Buffer.from([KEY_LETTER.head])))) {
      for (const [, value] of entries) if (typeOfHead(value) === VERSION_TYPE.file) files += 1;
    }
    return files;
  }

  /** Direct children of a directory. */
  children(directory: BytePath): AsyncGenerator<Version[]> {
    return this.#range(childRange(KEY_LETTER.head, directory));
  }

  /** An entry and everything below it. */
  async *under(path: BytePath): AsyncGenerator<Version[]> {
    if (path === '') {
      yield* this.all();
      return;
    }
    const [own] = await this.get([path]);
    if (own) yield [own];
    yield* this.#range(childRange(KEY_LETTER.head, path));
    yield* this.#range(deepRange(KEY_LETTER.head, path));
  }
}
