/** A state directory and a store for one test, and the oracle: the newest tree must be the directory, byte for byte. */
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { openCaptureSession } from '../../src/capture/capture.js';
import type { CaptureOptions, CaptureReport, CaptureSession } from '../../src/capture/types.js';
import { type BytePath, pathBytes, pathJoin, pathParent } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import type { Version } from '../../src/format/format.js';
import { openStoreOrImport } from '../../src/migrate/migrate.js';
import type { Store } from '../../src/store/store.js';
import type { Schema } from '../store/keepings.js';

export { engines, keepings, SCHEMAS } from '../store/keepings.js';

export const MIB = 1 << 20;

/** Deterministic bytes that do not compress; different seeds share nothing. */
export function noise(bytes: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let i = 0; i < words.length; i += 1) {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    words[i] = mixed ^ (mixed >>> 14);
  }
  return Buffer.from(words.buffer, 0, bytes);
}

/** Bytes that compress to about half, at any level, and have nothing in common with those of another seed. */
export function digits(bytes: number, seed: number): Buffer {
  return Buffer.from(noise(bytes / 2, seed).toString('hex'), 'latin1');
}

/** Passes the time in which the kernel's clock could give two writes the same stamp. */
export async function letTheClockTick(): Promise<void> {
  await sleep(45);
}

type Counts = Partial<Pick<CaptureReport, 'added' | 'changed' | 'removed'>>;

export class StateFixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'dk-capture-'));
  readonly state = join(this.directory, 'state');
  store!: Store;
  session!: CaptureSession;
  #options: CaptureOptions = {};
  /** Everything that ever was there, as far as the fixture knows. */
  readonly #seen = new Set<BytePath>();

  private constructor(
    readonly engine: Engine,
    readonly storePath: string,
    readonly schema: Schema,
  ) {}

  static async create(
    engine: Engine,
    options: CaptureOptions & { readonly inside?: string; readonly schema?: Schema; readonly level?: number } = {},
  ): Promise<StateFixture> {
    const { inside, schema = 2, level, ...rest } = options;
    const fixture = new StateFixture(engine, '', schema);
    mkdirSync(fixture.state);
    const storePath = inside ? join(fixture.state, inside) : join(fixture.directory, 'store');
    Object.assign(fixture, { storePath });
    fixture.#options = rest;
    fixture.store = await openStoreOrImport(storePath, {
      create: true,
      engine,
      schema,
      ...(level !== undefined && { level }),
    });
    return fixture;
  }

  /** Captures with the one session of this fixture. */
  async capture(run: Parameters<CaptureSession['capture']>[0] = {}): ReturnType<CaptureSession['capture']> {
    this.session ??= await openCaptureSession(this.store, this.state, this.#options);
    return this.session.capture(run);
  }

  /** Closes session and store and opens the store again; `forget` removes advisory caches of this name. */
  async reopen(forget?: string): Promise<void> {
    await this.session?.close();
    Object.assign(this, { session: undefined });
    const cache = this.store.cachePath;
    await this.store.close();
    if (forget) rmSync(join(cache, forget), { recursive: true, force: true });
    this.store = await openStoreOrImport(this.storePath, { engine: this.engine, schema: this.schema });
  }

  path(name: string): string {
    return join(this.state, name);
  }

  write(name: string, bytes: Uint8Array | string): void {
    this.#seen.add(Buffer.from(name).toString('latin1'));
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), bytes);
  }

  rename(from: string, to: string): void {
    this.#seen.add(Buffer.from(to).toString('latin1'));
    renameSync(this.path(from), this.path(to));
  }

  async head(name: string): Promise<Version | undefined> {
    const [head] = await this.store.heads([Buffer.from(name).toString('latin1')]);
    return head;
  }

  /** No file is there any more; in schema 1, which has no removals, it is as it was. */
  async isRemoved(name: string): Promise<boolean> {
    return ((await this.head(name)) === undefined) === (this.schema === 2);
  }

  /** What a report counts: in schema 1, files with other content alone. */
  counts(second: Counts, first: Counts): Counts {
    return this.schema === 2 ? second : { added: 0, changed: 0, removed: 0, ...first };
  }

  /** Stored bytes, where deltas and contents that are shared keep them few: in schema 2. */
  expectStored(report: CaptureReport, below: number): void {
    if (this.schema === 2) expect(report.storedBytes).toBeLessThan(below);
  }

  /** The newest tree holds exactly what the directory holds; in schema 1, its files, and none that never was there. */
  async expectKept(ignored: readonly BytePath[] = []): Promise<void> {
    const kept = new Map<BytePath, Version>();
    for await (const batch of this.store.entries())
      for (const version of batch) {
        expect(kept.has(version.path), version.path).toBe(false);
        kept.set(version.path, version);
      }
    const onDisk = listTree(this.state, '').filter(
      (path) => !ignored.some((gone) => path === gone || path.startsWith(`${gone}/`)),
    );
    if (this.schema === 1) return this.#expectContents(kept, onDisk);
    this.#expectRoot(kept.get(''));
    kept.delete('');
    expect([...kept.keys()].sort()).toEqual(onDisk.sort());
    for (const path of onDisk) await this.#expectSame(path, kept.get(path) as Version);
  }

  async #expectContents(kept: ReadonlyMap<BytePath, Version>, onDisk: readonly BytePath[]): Promise<void> {
    const files = new Set(onDisk.filter((path) => lstatSync(this.#full(path)).isFile()));
    for (const path of files) {
      const version = kept.get(path) as Version;
      expect(version?.type, path).toBe(1);
      await this.#expectBytes(path, version);
    }
    const above = new Set<BytePath>();
    for (const [path, { type }] of kept) {
      if (type !== 1) continue;
      for (let up = pathParent(path); up !== ''; up = pathParent(up)) above.add(up);
      if (!files.has(path)) expect(this.#seen.has(path), `${path} once was there`).toBe(true);
    }
    // Directories are those above files, and none of them is a file.
    expect([...kept.values()].filter(({ type }) => type === 2).length).toBe(above.size);
    for (const path of above) expect(kept.get(path)?.type, path).toBe(2);
  }

  /** The state directory itself, but for its time, which is taken along with other changes only. */
  #expectRoot(version: Version | undefined): void {
    const facts = lstatSync(this.state);
    expect(version).toMatchObject({ type: 2, mode: facts.mode & 0o7777, uid: facts.uid, gid: facts.gid });
  }

  #full(path: BytePath): Buffer {
    return Buffer.concat([Buffer.from(`${this.state}/`), pathBytes(path)]);
  }

  async #expectBytes(path: BytePath, version: Version): Promise<void> {
    const onDisk = readFileSync(this.#full(path));
    expect(version.size, `size of ${path}`).toBe(onDisk.length);
    const bytes = await this.store.reader(version).read(0, version.size);
    expect(bytes.equals(onDisk), `bytes of ${path}`).toBe(true);
  }

  async #expectSame(path: BytePath, version: Version): Promise<void> {
    const full = this.#full(path);
    const facts = lstatSync(full, { bigint: true });
    expect(version.mtimeNs, `mtime of ${path}`).toBe(facts.mtimeNs);
    expect(version.mode, `mode of ${path}`).toBe(Number(facts.mode & 0o7777n));
    expect([version.uid, version.gid]).toEqual([Number(facts.uid), Number(facts.gid)]);
    if (facts.isSymbolicLink()) {
      expect(version.type).toBe(3);
      expect(version.linkText.equals(readlinkSync(full, { encoding: 'buffer' }))).toBe(true);
    } else if (facts.isDirectory()) expect(version.type).toBe(2);
    else {
      expect(version.type).toBe(1);
      await this.#expectBytes(path, version);
    }
  }

  async close(): Promise<void> {
    await this.session?.close();
    await this.store.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function listTree(root: string, directory: BytePath): BytePath[] {
  const found: BytePath[] = [];
  const full = Buffer.concat([Buffer.from(`${root}/`), pathBytes(directory)]);
  for (const name of readdirSync(full, { encoding: 'buffer' })) {
    const path = pathJoin(directory, name.toString('latin1'));
    found.push(path);
    const child = Buffer.concat([Buffer.from(`${root}/`), pathBytes(path)]);
    if (lstatSync(child).isDirectory()) found.push(...listTree(root, path));
  }
  return found;
}
