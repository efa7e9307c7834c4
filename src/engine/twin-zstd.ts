/**
 * zstd of the twin, by WebAssembly. The library trusts the frame header when it
 * reserves memory, so the header is parsed and checked here before it sees a
 * frame. `context` means raw older bytes; the library would take one that begins
 * with the dictionary magic for a trained dictionary, so such a context loses or
 * gains a byte in front, which moves no match: offsets count from its end.
 */
import { DiffKeeperError } from '../core/core.js';
import { frameContentBytes } from './zstd-frame.js';

const DICTIONARY_MAGIC = 0xec30a437;
/** Bytes of source, context and result together: the library's memory ends at 2 GiB. */
const MEMORY_BYTES = 1 << 30;
const NO_BYTES = new Uint8Array(0);

/** Marks the library as initialised on its own function: two copies of this package may share it. */
const READY = Symbol.for('diffkeeper.zstd-wasm.ready');

type Library = typeof import('@bokuweb/zstd-wasm');
let loaded: Library | undefined;

/** Loads and compiles the library once; everything else here needs it done. */
export async function warmZstd(): Promise<void> {
  if (loaded !== undefined) return;
  const library = await import('@bokuweb/zstd-wasm');
  const holder = library.init as typeof library.init & { [READY]?: Promise<void> };
  holder[READY] ??= library.init();
  await holder[READY];
  loaded = library;
}

function library(): Library {
  if (loaded === undefined) throw new Error('zstd is used before warmZstd');
  return loaded;
}

/** Whether the context would be read as a trained dictionary. */
export function looksLikeDictionary(context: Uint8Array): boolean {
  if (context.length < 4) return false;
  return new DataView(context.buffer, context.byteOffset, 4).getUint32(0, true) === DICTIONARY_MAGIC;
}

function checkMemory(...parts: number[]): void {
  const bytes = parts.reduce((sum, part) => sum + part, 0);
  if (bytes > MEMORY_BYTES) {
    throw new DiffKeeperError('DK_LIMIT', 'more bytes at once than the TypeScript engine can hold', {
      expected: MEMORY_BYTES,
      actual: bytes,
    });
  }
}

/** Compresses after `warmZstd`. `context` is raw, `dictionary` is trained; at most one of them. */
export function compressNow(
  data: Uint8Array,
  options: { readonly level: number; readonly context?: Uint8Array; readonly dictionary?: Uint8Array },
): Buffer {
  const context = options.context ?? NO_BYTES;
  const prefix = options.dictionary ?? (looksLikeDictionary(context) ? context.subarray(1) : context);
  checkMemory(data.length * 2, prefix.length);
  const { compress, compressUsingDict, createCCtx, freeCCtx } = library();
  if (prefix.length === 0) return bufferOf(compress(data, options.level));
  const handle = createCCtx();
  try {
    return bufferOf(compressUsingDict(handle, data, prefix, options.level));
  } finally {
    freeCCtx(handle);
  }
}

/**
 * Decompresses after `warmZstd`. Throws DK_CORRUPT_DELTA when the frame is
 * damaged or its content is not exactly `decodedBytes` long.
 */
export function decompressNow(
  data: Uint8Array,
  options: { readonly decodedBytes: number; readonly context?: Uint8Array; readonly dictionary?: Uint8Array },
): Buffer {
  const { decodedBytes } = options;
  const announced = frameContentBytes(data);
  if (announced !== undefined && announced !== decodedBytes) throw lengthMismatch(decodedBytes, announced);
  const context = options.context ?? NO_BYTES;
  const prefix =
    options.dictionary ?? (looksLikeDictionary(context) ? Buffer.concat([Buffer.alloc(1), context]) : context);
  checkMemory(data.length, decodedBytes, prefix.length);
  const { createDCtx, decompressUsingDict, freeDCtx } = library();
  const handle = createDCtx();
  let decoded: Buffer;
  try {
    decoded = bufferOf(decompressUsingDict(handle, data, prefix, { defaultHeapSize: decodedBytes }));
  } catch (cause) {
    throw new DiffKeeperError('DK_CORRUPT_DELTA', 'the compressed data is damaged', {}, cause);
  } finally {
    freeDCtx(handle);
  }
  if (decoded.length !== decodedBytes) throw lengthMismatch(decodedBytes, decoded.length);
  return decoded;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function lengthMismatch(expected: number, actual: number): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_DELTA', 'the compressed data decodes to another length than expected', {
    expected,
    actual,
  });
}
