/** A state directory and a store for one test, and the oracle: the newest tree must be the directory, byte for byte. */
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { openCaptureSession } from '../../src/capture/capture.js';
import type { CaptureOptions, CaptureSession } from '../../src/capture/types.js';
import { type BytePath, pathBytes, pathJoin } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine, loadTwin } from '../../src/engine/load.js';
import type { Version } from '../../src/format/format.js';
import { openStore, type Store } from '../../src/store/store.js';

export const MIB = 1 << 20;

/** Both implementations where the native one loads. */
export function engines(): [string, Engine][] {
  const loaded = loadEngine();
  const twin: [string, Engine] = ['typescript', loadTwin()];
  return loaded.info.kind === 'native' ? [['native', loaded], twin] : [twin];
}

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

/** Passes the time in which the kernel's clock could give two writes the same stamp. */
export async function letTheClockTick(): Promise<void> {
  await sleep(45);
}

export class StateFixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'dk-capture-'));
  readonly state = join(this.directory, 'state');
  store!: Store;
  session!: CaptureSession;
  #options: CaptureOptions = {};

  private constructor(
    readonly engine: Engine,
    readonly storePath: string,
  ) {}

  static async create(
    engine: Engine,
    options: CaptureOptions & { readonly inside?: string } = {},
  ): Promise<StateFixture> {
    const { inside, ...rest } = options;
    const fixture = new StateFixture(engine, '');
    mkdirSync(fixture.state);
    const storePath = inside ? join(fixture.state, inside) : join(fixture.directory, 'store');
    Object.assign(fixture, { storePath });
    fixture.#options = rest;
    fixture.store = await openStore(storePath, { create: true, engine });
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
    this.store = await openStore(this.storePath, { engine: this.engine });
  }

  path(name: string): string {
    return join(this.state, name);
  }

  write(name: string, bytes: Uint8Array | string): void {
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), bytes);
  }

  async head(name: string): Promise<Version | undefined> {
    const [head] = await this.store.heads([Buffer.from(name).toString('latin1')]);
    return head;
  }

  /** The newest tree holds exactly what the directory holds. */
  async expectKept(ignored: readonly BytePath[] = []): Promise<void> {
    const kept = new Map<BytePath, Version>();
    for await (const batch of this.store.entries()) for (const version of batch) kept.set(version.path, version);
    const onDisk = listTree(this.state, '').filter(
      (path) => !ignored.some((gone) => path === gone || path.startsWith(`${gone}/`)),
    );
    expect([...kept.keys()].sort()).toEqual(onDisk.sort());
    for (const path of onDisk) await this.#expectSame(path, kept.get(path) as Version);
  }

  async #expectSame(path: BytePath, version: Version): Promise<void> {
    const full = Buffer.concat([Buffer.from(`${this.state}/`), pathBytes(path)]);
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
      expect(version.size, `size of ${path}`).toBe(Number(facts.size));
      const bytes = await this.store.reader(version).read(0, version.size);
      expect(bytes.equals(readFileSync(full)), `bytes of ${path}`).toBe(true);
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
