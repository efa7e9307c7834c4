/** zstd for the second readers: a library that shares nothing with the product's. */
import { createDCtx, decompressUsingDict, freeDCtx, init } from '@bokuweb/zstd-wasm';

/** The library breaks when it is initialised twice in one process, so its users leave a mark on it. */
export async function initOnce(): Promise<void> {
  const mark = Symbol.for('diffkeeper.zstd-wasm.ready');
  const holder = init as typeof init & { [key: symbol]: Promise<void> | undefined };
  holder[mark] ??= init();
  await holder[mark];
}

/** One frame, with what its offsets may reach into: the library takes raw content as a dictionary, unless it begins like a trained one. */
export function unpack(frame: Buffer, prefix: Buffer): Buffer {
  const trained = prefix.length >= 4 && prefix.readUInt32LE() === 0xec30a437;
  const handle = createDCtx();
  try {
    return Buffer.from(decompressUsingDict(handle, frame, trained ? Buffer.concat([Buffer.of(0), prefix]) : prefix));
  } finally {
    freeDCtx(handle);
  }
}
