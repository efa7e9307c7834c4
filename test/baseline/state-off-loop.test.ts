/** Nothing that grows with a state is done on the event loop: no hash, no copy, no comparison of more than a little. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StateEncoderOptions, StateInput } from '../../src/baseline/baseline.js';
import { LIMITS } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { patternBytes } from '../engine/samples.js';
import { pair } from './codec-fixture.js';

const BYTES = 3 << 20;
/** What looks for repeats in samples reads so much at once, whatever the length of the state. */
const SAMPLE_BYTES = (2 << 20) + 32;

/** Calls that did more than their share, by name. */
const tooLong = new Set<string>();
/** Verbs of the twin are done here, in turns of their own. */
let inTwin = 0;
let watching = false;

function note(name: string, bytes: number): void {
  if (watching && inTwin === 0 && bytes > LIMITS.syncBytes) tooLong.add(`${name} of ${bytes} bytes`);
}

function bytesOf(value: unknown): number {
  return value instanceof Uint8Array ? value.length : 0;
}

/** Verbs for small states, which have a bound of their own. */
const SMALL_VERBS = ['sparseDiffSync', 'sparsePatchSync'] as const;
const SYNC_VERBS = ['digest', 'xxh3', 'merkleRoot', 'groupValuesSync', 'rootOfGroups'] as const;

/** The engine, noting what its synchronous verbs get. */
function guarded(): Engine {
  const engine = loadEngine();
  return new Proxy(engine, {
    get(target, name) {
      const verb: unknown = Reflect.get(target, name);
      if (typeof verb !== 'function') return verb;
      return (...args: unknown[]): unknown => {
        if (SYNC_VERBS.some((sync) => sync === name)) note(String(name), Math.max(...args.map(bytesOf)));
        if (SMALL_VERBS.some((sync) => sync === name) && Math.max(...args.map(bytesOf)) > LIMITS.syncStateBytes) {
          note(String(name), Math.max(...args.map(bytesOf)));
        }
        const twin = engine.info.kind === 'typescript' ? 1 : 0;
        inTwin += twin;
        const made: unknown = Reflect.apply(verb, target, args);
        const done = (): void => {
          inTwin -= twin;
        };
        if (made instanceof Promise) made.then(done, done);
        else done();
        return made;
      };
    },
  });
}

type Method = (this: unknown, ...args: unknown[]) => unknown;
const restores: (() => void)[] = [];

/** Notes calls of a method by how many bytes they touch. */
function watch(on: object, name: string, bytes: (self: unknown, args: unknown[]) => number): void {
  const original = Reflect.get(on, name) as Method;
  const watched: Method = function (...args) {
    note(name, bytes(this, args));
    return Reflect.apply(original, this, args);
  };
  const own = Object.getOwnPropertyDescriptor(on, name);
  Object.defineProperty(on, name, { value: watched, configurable: true, writable: true });
  restores.push(() => {
    if (own === undefined) Reflect.deleteProperty(on, name);
    else Object.defineProperty(on, name, own);
  });
}

const listBytes = (list: unknown): number =>
  Array.isArray(list) ? list.reduce((sum: number, one) => sum + bytesOf(one), 0) : 0;

beforeEach(() => {
  tooLong.clear();
  const typed: object = Object.getPrototypeOf(Uint8Array.prototype);
  watch(typed, 'set', (_self, [from]) => bytesOf(from));
  watch(typed, 'slice', bytesOf);
  watch(Buffer.prototype, 'fill', bytesOf);
  watch(Buffer.prototype, 'copy', bytesOf);
  watch(Buffer.prototype, 'equals', bytesOf);
  watch(Buffer.prototype, 'indexOf', (self) => Math.max(0, bytesOf(self) - SAMPLE_BYTES));
  watch(Buffer, 'concat', (_self, [list]) => listBytes(list));
  watch(Buffer, 'compare', (_self, [one]) => bytesOf(one));
  watch(Buffer, 'from', (_self, [from]) => bytesOf(from));
  watch(Buffer, 'alloc', (_self, [size]) => Number(size));
});

afterEach(() => {
  for (const restore of restores.splice(0)) restore();
});

/** What a call does counts. */
async function watched<T>(call: () => Promise<T>): Promise<T> {
  watching = true;
  try {
    return await call();
  } finally {
    watching = false;
  }
}

const noise = patternBytes(BYTES, 1);
const text = Buffer.alloc(BYTES, 'VM_MEMORY_PAGE_CONTENT_');
const floats = Buffer.from(Float32Array.from({ length: BYTES / 4 }, (_, i) => Math.sin(i) / 8).buffer);

function changed(state: Buffer, step: number): Buffer {
  const target = Buffer.from(state);
  for (let at = 0; at < target.length; at += step) target.writeUInt8(target.readUInt8(at) ^ 1, at);
  return target;
}

async function* chunks(state: Buffer, bytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < state.length; at += bytes) yield state.subarray(at, at + bytes);
}

/** Messages of some states, there and back; the first one arrives in chunks, too. */
async function trip(options: StateEncoderOptions, states: readonly Buffer[], inputs: readonly StateInput[] = states) {
  const nativeEngine = guarded();
  const { encoder, decoder } = pair({ nativeEngine, ...options }, { nativeEngine });
  const late = pair({}, { nativeEngine });
  for (const [i, state] of states.entries()) {
    const message = await watched(() => encoder.encode('k', inputs[i] as StateInput));
    const { bytes } = await watched(() => decoder.decode(message.parts));
    expect(bytes.equals(state)).toBe(true);
    if (i > 0) continue;
    const whole = message.toBuffer();
    const again = await watched(() => late.decoder.decode(chunks(whole, 40_000)));
    expect(again.bytes.equals(state)).toBe(true);
  }
  await Promise.all([encoder, decoder, late.encoder, late.decoder].map((one) => one.close()));
}

describe('on the event loop there is no work that grows with the state', () => {
  const kinds: [string, StateEncoderOptions, Buffer, Buffer][] = [
    ['noise', {}, noise, changed(noise, 70_000)],
    ['noise, another', {}, noise, patternBytes(BYTES, 2)],
    ['text', {}, text, changed(text, 20)],
    ['xor', { engine: 'xor' }, noise, changed(noise, 70_000)],
    ['sparse', { engine: 'sparse' }, noise, changed(noise, 7)],
    ['align', { engine: 'align' }, noise, Buffer.concat([Buffer.from('shifted'), noise.subarray(7)])],
    ['zstd', { engine: 'zstd', level: 1 }, noise, changed(noise, 70_000)],
    ['tensor', { engine: 'tensor' }, floats, changed(floats, 4)],
    ['page hashes', { keep: 'pages' }, noise, changed(noise, 5000)],
    ['page hashes, few', { keep: 'pages' }, noise, changed(noise, 70_000)],
    ['segments', { segmentBytes: 1 << 20 }, noise, changed(noise, 70_000)],
    ['segments, a window', { segmentBytes: 1 << 20, engine: 'align' }, noise, changed(noise, 70_000)],
    ['previous', { reference: 'previous' }, noise, changed(noise, 70_000)],
    ['SHA-256', { hashAlgo: 'sha256' }, noise, changed(noise, 70_000)],
    ['switched off', { enabled: false }, noise, noise],
  ];
  it.each(kinds)('%s', async (_name, options, source, target) => {
    await trip(options, [source, target]);
    expect([...tooLong]).toEqual([]);
  });

  it('states from chunks, files and shared memory', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'dk-loop-'));
    const file = join(directory, 'state');
    await writeFile(file, noise);
    const shared = new SharedArrayBuffer(BYTES);
    new Uint8Array(shared).set(noise);
    const inputs = [chunks(noise, 100_000), [noise], { file }, shared];
    for (const segmentBytes of [1 << 20, 1 << 26]) {
      const again = [chunks(noise, 100_000), ...inputs.slice(1)];
      await trip(
        { segmentBytes },
        inputs.map(() => noise),
        again,
      );
    }
    await rm(directory, { recursive: true });
    expect([...tooLong]).toEqual([]);
  });
});
