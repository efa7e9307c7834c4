/** Deltas in windows for those who hold everything in memory. */
import { loadEngine } from '../engine/load.js';
import { type ByteInput, inputInMemory } from './byte-input.js';
import type { ByteOutput } from './byte-output.js';
import type { DeltaInfo } from './in-memory.js';
import { sourceInMemory } from './source-bytes.js';
import { patchInWindows, WindowReader } from './window-patch.js';

/** As `patch`, for a delta in windows. */
export async function patchWindowsInMemory(
  source: Uint8Array,
  delta: Uint8Array,
  options: { readonly targetBytesMax: number; readonly signal: AbortSignal | undefined },
): Promise<Buffer> {
  const engine = loadEngine();
  const parts: Buffer[] = [];
  const output: ByteOutput = {
    async write(bytes) {
      parts.push(Buffer.from(bytes));
    },
    async commit() {},
    async discard() {},
  };
  const reader = await WindowReader.open(engine, inputInMemory(delta), Buffer.alloc(0));
  await patchInWindows({ engine, source: sourceInMemory(source), reader, output, onProgress: undefined, ...options });
  return Buffer.concat(parts);
}

/**
 * What a delta in windows says about itself: every record is read and its checksum compared, nothing is decoded.
 * @param start first bytes of the delta, read already
 */
export async function inspectWindows(input: ByteInput, start: Buffer): Promise<DeltaInfo> {
  const reader = await WindowReader.open(loadEngine(), input, start);
  const { hashAlgo, sourceBytes, sourceDigest } = reader.header;
  let payloadBytes = 0;
  let windows = 0;
  let end = { targetBytes: 0, targetDigest: '' };
  for await (const record of reader.records()) {
    if (record.kind === 'end') {
      end = { targetBytes: record.targetBytes, targetDigest: record.targetDigest.toString('hex') };
    } else {
      windows += 1;
      if (record.kind === 'window') payloadBytes += record.payload.length;
    }
  }
  return {
    engine: 'windows',
    hashAlgo,
    sourceBytes,
    targetBytes: end.targetBytes,
    sourceDigest: sourceDigest.toString('hex'),
    targetDigest: end.targetDigest,
    payloadBytes,
    deltaBytes: reader.at,
    windows,
  };
}
