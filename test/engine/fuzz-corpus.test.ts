/**
 * The inputs that the fuzzer kept (`test/fuzz-corpus`, made by `npm run fuzz`), through the public doors of both
 * engines: each gives bytes or a typed error, both give the same bytes.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine, loadTwin } from '../../src/engine/load.js';
import { encodeBzip2 } from '../../src/engine/twin-bzip2-encode.js';
import { homeBytes } from '../../src/format/format.js';
import { groupOf, homeOf, MARGIN, openedBytes, unfoldedBytes, withPack } from './dense-groups.js';
import { largePair } from './large-states.js';
import { withTree } from './tree.js';

const corpus = new URL('../fuzz-corpus/', import.meta.url);
const TARGET_BYTES_MAX = 1 << 18;

/** As `native/fuzz/fuzz_input.h` reads it. */
interface FuzzInput {
  readonly mode: number;
  readonly targetBytes: number;
  readonly source: Buffer;
  readonly rest: Buffer;
}

function parse(bytes: Buffer): FuzzInput | undefined {
  if (bytes.length < 5) return undefined;
  const sourceBytes = bytes.readUInt16LE(1);
  if (sourceBytes > bytes.length - 5) return undefined;
  return {
    mode: bytes.readUInt8(0),
    targetBytes: bytes.readUInt16LE(3),
    source: bytes.subarray(5, 5 + sourceBytes),
    rest: bytes.subarray(5 + sourceBytes),
  };
}

const number64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

/** Three streams as they are, made into a BSDIFF40 file. */
function wrappedBsdiff({ rest, targetBytes }: FuzzInput): Buffer {
  if (rest.length < 4) return rest;
  const control = Math.min(rest.readUInt16LE(0), rest.length - 4);
  const difference = Math.min(rest.readUInt16LE(2), rest.length - 4 - control);
  const ends = [4, 4 + control, 4 + control + difference, rest.length];
  const parts = [0, 1, 2].map((i) => encodeBzip2(rest.subarray(ends[i], ends[i + 1])));
  const sizes = [parts[0]?.length ?? 0, parts[1]?.length ?? 0, targetBytes].map(number64);
  return Buffer.concat([Buffer.from('BSDIFF40', 'latin1'), ...sizes, ...parts]);
}

/** Bytes, or the code of the error; an error without a code of ours is no outcome. */
async function outcomeOf(making: Promise<Uint8Array | string>): Promise<string> {
  try {
    const made = await making;
    return typeof made === 'string' ? made : `bytes ${Buffer.from(made).toString('latin1')}`;
  } catch (error) {
    const code = (error as { code?: string }).code ?? String(error);
    expect(code).toMatch(/^DK_(CORRUPT_DELTA|LIMIT|UNSUPPORTED)$/);
    return 'refused';
  }
}

async function loadStat(engine: Engine, { mode, rest }: FuzzInput): Promise<string> {
  const sealed = mode % 2 === 0 ? rest : Buffer.concat([rest, number64(0)]);
  if (mode % 2 === 1) sealed.writeBigUInt64LE(engine.xxh3(rest), rest.length);
  const index = engine.createStatIndex();
  const sound = index.load(sealed);
  const again = engine.createStatIndex();
  expect(again.load(index.save())).toBe(true);
  return `${sound} ${index.count} ${index.save().toString('hex')}`;
}

async function zstdFrame(engine: Engine, { mode, targetBytes, source, rest }: FuzzInput): Promise<Uint8Array> {
  const prefix = mode % 3 === 1 ? { context: source } : mode % 3 === 2 ? { dictionary: source } : {};
  return engine.decompress(rest, { decodedBytes: targetBytes, ...prefix });
}

/** The twin reads no chains at once: what the other one gives has the digest that it was asked for. */
async function readChain(engine: Engine, { targetBytes, rest }: FuzzInput): Promise<string> {
  const offset = rest.length - targetBytes;
  if (targetBytes < 52 || offset < 0) return 'no record';
  const digest = rest.subarray(offset + 20, offset + 52);
  const decodedBytes = Math.min(rest.readUInt32LE(offset + 12), 1 << 20);
  const place = { offset, recordBytes: targetBytes, windowBytes: 1 << 20, digest, decodedBytes };
  return withTree(async (root) => {
    await writeFile(join(root, 'pack'), rest);
    const handle = await open(join(root, 'pack'), 'r');
    try {
      const got = await engine.readChain(handle.fd, place, 'blake3');
      expect(got === null || engine.digest('blake3', got).equals(digest)).toBe(true);
    } finally {
      await handle.close();
    }
    return 'read';
  });
}

/** What one engine reads at once the other one reads step by step: both take the same, or refuse it. */
async function openGroup(engine: Engine, { mode, targetBytes, source, rest }: FuzzInput): Promise<Uint8Array | string> {
  const group = mode % 2 === 0 ? await madeGroup(engine, { targetBytes, source, rest }) : signedGroup(engine, rest);
  if (group === null) return 'no group';
  const [offset, bytes] = [group.readBigUInt64LE(16), group.readBigUInt64LE(24)];
  if (bytes > LIMITS.denseGroupBytesMax || offset > 2n ** 52n) return 'refused';
  if (engine.info.kind === 'typescript') return (await unfoldedBytes(engine, group)) ?? 'refused';
  const place = { offset: Number(offset), bytes: Number(bytes) };
  return (await withPack((pack) => openedBytes(engine, pack, group, place))) ?? 'refused';
}

async function madeGroup(
  engine: Engine,
  { targetBytes, source, rest }: Pick<FuzzInput, 'targetBytes' | 'source' | 'rest'>,
): Promise<Buffer | null> {
  if (source.length < 4) return null;
  return groupOf(engine, { folded: rest, records: targetBytes, bytes: source.readUInt32LE(0) });
}

function signedGroup(engine: Engine, bytes: Buffer): Buffer | null {
  if (bytes.length < 48) return null;
  const group = Buffer.from(bytes);
  const home = homeBytes(homeOf(engine), MARGIN);
  group.writeBigUInt64LE(engine.xxh3(Buffer.concat([home, group.subarray(0, 32)])), 32);
  group.writeBigUInt64LE(engine.xxh3(group.subarray(0, -8)), group.length - 8);
  return group;
}

async function cutPieces(engine: Engine, { mode, targetBytes, rest }: FuzzInput): Promise<string> {
  const average = 64 + (targetBytes % 1024);
  const sizes = { minBytes: 64, averageBytes: average, maxBytes: average + mode };
  return String([...(await engine.cut(rest, sizes))]);
}

async function findRanges(engine: Engine, { mode, targetBytes, source, rest }: FuzzInput): Promise<string> {
  const whole = Buffer.concat([source, source, source, source]);
  const index = engine.createSourceIndex(whole.length);
  await index.add(whole, 0);
  const inPlace = whole.subarray(targetBytes, targetBytes + rest.length);
  return String([...(await index.find(rest, targetBytes, inPlace, mode * 64))]);
}

const TARGETS: Readonly<Record<string, (engine: Engine, input: FuzzInput) => Promise<Uint8Array | string>>> = {
  align: (engine, { source, rest, targetBytes }) => engine.alignPatch(source, rest, targetBytes),
  'align-trip': async (engine, { source, rest }) =>
    engine.alignPatch(source, await engine.alignDiff(source, rest, 'balanced'), rest.length),
  bsdiff: (engine, input) => {
    const file = input.mode % 2 === 0 ? input.rest : wrappedBsdiff(input);
    return engine.bsdiffPatch(input.source, file, TARGET_BYTES_MAX);
  },
  bzip2: (engine, { rest }) => {
    // As the only filled stream of a file that is otherwise empty.
    const nothing = encodeBzip2(Buffer.alloc(0));
    const sizes = [rest.length, nothing.length, 0].map(number64);
    return engine.bsdiffPatch(
      Buffer.alloc(0),
      Buffer.concat([Buffer.from('BSDIFF40'), ...sizes, rest, nothing, nothing]),
      1,
    );
  },
  chain: readChain,
  chunk: cutPieces,
  dense: openGroup,
  sparse: async (engine, { source, rest, targetBytes }) => (await engine.sparsePatch(source, rest, targetBytes)).data,
  'sparse-large': async (engine, input) => {
    const { source, target } = largePair(input);
    const { payload } = await engine.sparseDiff(source, target, 3, undefined, 'xxh3');
    const { data, digest } = await engine.sparsePatch(source, payload, target.length, undefined, undefined, 'xxh3');
    expect(data.equals(target)).toBe(true);
    return digest;
  },
  stat: loadStat,
  tensor: (engine, { source, rest, targetBytes }) => engine.tensorPatch(source, rest, targetBytes),
  vcdiff: (engine, { source, rest }) => engine.vcdiffPatch(source, rest, TARGET_BYTES_MAX),
  window: findRanges,
  xor: async (engine, { mode, source, rest, targetBytes }) =>
    engine.xorPatch(source, mode % 2 === 0 ? rest : await engine.compress(rest, { level: 1 }), targetBytes),
  zstd: zstdFrame,
};

const folders = readdirSync(corpus);

describe('inputs of the fuzzer', () => {
  it('are there for every target', () => {
    expect(folders.sort()).toEqual(Object.keys(TARGETS).sort());
  });

  it.each(folders)('%s', async (folder) => {
    const decode = TARGETS[folder];
    let seen = 0;
    for (const name of readdirSync(new URL(`${folder}/`, corpus))) {
      const input = parse(readFileSync(new URL(`${folder}/${name}`, corpus)));
      if (decode === undefined || input === undefined) continue;
      seen += 1;
      const [native, twin] = [await outcomeOf(decode(loadEngine(), input)), await outcomeOf(decode(loadTwin(), input))];
      expect(native === twin, `${name}: ${native.slice(0, 80)} / ${twin.slice(0, 80)}`).toBe(true);
    }
    expect(seen).toBeGreaterThan(3);
  });
});
