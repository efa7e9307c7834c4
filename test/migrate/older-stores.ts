/** Older stores for tests: the committed fixtures, and stores put together value by value. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach } from 'vitest';
import { pathFromText, pathToText } from '../../src/core/core.js';
import { loadEngine } from '../../src/engine/load.js';
import { VERSION_TYPE } from '../../src/format/format.js';
import { formatContentId, legacyMerkleRoot } from '../../src/migrate/content-id.js';
import type { Store } from '../../src/store/store.js';

const FIXTURES = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'fixtures', 'bolt');

export class OlderStores {
  base = '';
  readonly #opened: Store[] = [];

  constructor() {
    beforeEach(async () => {
      this.base = await mkdtemp(path.join(tmpdir(), 'dk-migrate-'));
    });
    afterEach(async () => {
      for (const store of this.#opened.splice(0)) await store.close();
      await rm(this.base, { recursive: true, force: true });
    });
  }

  /** Closed at the end of the test. */
  keep(store: Store): Store {
    this.#opened.push(store);
    return store;
  }

  /** A committed fixture, unpacked into a directory of its own. */
  async fixture(name: string): Promise<string> {
    return this.write(`${name}/db.bolt`, gunzipSync(await readFile(path.join(FIXTURES, `${name}.bolt.gz`))));
  }

  async write(name: string, bytes: Buffer): Promise<string> {
    const file = path.join(this.base, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes);
    return file;
  }
}

/** SHA-256 of every version of every file of a fixture, oldest first. */
export async function fixtureVersions(name: string): Promise<Readonly<Record<string, readonly string[]>>> {
  return JSON.parse(await readFile(path.join(FIXTURES, `${name}.versions.json`), 'utf8'));
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Text of the newest files, by name. */
export async function newestFiles(store: Store): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for await (const batch of store.entries()) {
    for (const version of batch) {
      if (version.type !== VERSION_TYPE.file) continue;
      found.set(pathToText(version.path), await store.reader(version).read(0, version.size));
    }
  }
  return found;
}

/** SHA-256 of each version of a file that is in the store, oldest first; removals as `removed`. */
export async function versionsOf(store: Store, name: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { version } of store.versions(pathFromText(name))) {
    if (version.type !== VERSION_TYPE.file) found.unshift('removed');
    else found.unshift(sha256Hex(await store.reader(version).read(0, version.size)));
  }
  return found;
}

export function gzipped(content: Buffer | string): Buffer {
  return gzipSync(content);
}

/** Buckets of the older system's second schema, filled piece by piece. */
export class SecondSchema {
  readonly cas = new Map<string, Buffer>();
  readonly meta = new Map<string, Buffer>([['schema_version', Buffer.from([2])]]);
  readonly hashes = new Map<string, Buffer>();
  readonly deltas = new Map<string, Buffer>();
  readonly cas_refs = new Map<string, Buffer>();
  readonly chunk_index = new Map<string, Buffer>();
  readonly #algo: 'sha256' | 'blake3';
  /** Values are kept as `DKZ1` and a zstd frame. */
  readonly #packed: boolean;

  constructor(options: { readonly algo?: 'sha256' | 'blake3'; readonly packed?: boolean } = {}) {
    this.#algo = options.algo ?? 'sha256';
    this.#packed = options.packed ?? false;
  }

  get buckets(): Record<string, Map<string, Buffer>> {
    const { cas, meta, hashes, deltas, cas_refs, chunk_index } = this;
    return { cas, meta, hashes, deltas, cas_refs, chunk_index, snapshots: new Map() };
  }

  /** Stores a value; returns its name. */
  async content(bytes: Buffer, file?: string): Promise<string> {
    const name = formatContentId({ algo: this.#algo, digest: loadEngine().digest(this.#algo, bytes) });
    await this.value(name, bytes, file);
    return name;
  }

  async value(name: string, bytes: Buffer, file?: string): Promise<void> {
    const frame = this.#packed ? await loadEngine().compress(bytes) : bytes;
    this.cas.set(name, this.#packed ? Buffer.concat([Buffer.from('DKZ1'), frame]) : bytes);
    if (file) this.cas_refs.set(name, Buffer.from(JSON.stringify({ cid: name, refs: 1, files: [file] })));
  }

  /** Metadata of a file whose newest content is `content`. */
  file(
    file: string,
    content: Buffer,
    facts: { readonly cids: readonly string[]; readonly base: string; readonly [more: string]: unknown },
  ): void {
    const { cids, base, ...more } = facts;
    const value = {
      file_path: file,
      cids,
      merkle_root: legacyMerkleRoot(cids)?.toString('base64'),
      is_chunked: false,
      is_snapshot: false,
      base_snapshot_cid: base,
      version_count: cids.length + 1,
      timestamp: '2025-11-20T10:11:12.123456789Z',
      original_size: content.length,
      ...more,
    };
    this.meta.set(Buffer.from(file).toString('latin1'), Buffer.from(JSON.stringify(value)));
    this.hashes.set(Buffer.from(file).toString('latin1'), Buffer.from(sha256Hex(content)));
  }
}
