/** Deltas in windows of one engine, applied by the other. */
import { expect, it } from 'vitest';
import { inputInMemory } from '../../src/delta/byte-input.js';
import type { ByteOutput } from '../../src/delta/byte-output.js';
import { resolveDiffOptions } from '../../src/delta/diff-options.js';
import { sourceInMemory } from '../../src/delta/source-bytes.js';
import { diffInWindows } from '../../src/delta/window-diff.js';
import { patchInWindows, WindowReader } from '../../src/delta/window-patch.js';
import { WindowReports } from '../../src/delta/window-report.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine, loadTwin } from '../../src/engine/load.js';
import { patternBytes, textBytes } from '../engine/samples.js';

const tuning = { memoryBytes: -1, windowBytes: 30_000, gatherBytes: 50_000 };
const rest = { signal: undefined, onProgress: undefined };

function collected(): { output: ByteOutput; bytes(): Buffer } {
  const parts: Buffer[] = [];
  const write = async (bytes: Uint8Array): Promise<void> => void parts.push(Buffer.from(bytes));
  return { output: { write, commit: async () => {}, discard: async () => {} }, bytes: () => Buffer.concat(parts) };
}

async function crossing(from: Engine, to: Engine): Promise<void> {
  const source = Buffer.concat([patternBytes(150_000, 2), textBytes(100_000, 3)]);
  const target = Buffer.concat([source.subarray(120_000), Buffer.from('new'), source.subarray(0, 100_000)]);
  const made = collected();
  await diffInWindows({
    engine: from,
    source: sourceInMemory(source),
    target: inputInMemory(target),
    targetStart: Buffer.alloc(0),
    output: made.output,
    choices: resolveDiffOptions({}),
    tuning,
    reports: new WindowReports(),
    ...rest,
  });
  expect(made.bytes().length).toBeLessThan(target.length / 10);
  const reader = await WindowReader.open(to, inputInMemory(made.bytes()), Buffer.alloc(0));
  const back = collected();
  const job = { engine: to, source: sourceInMemory(source), reader, output: back.output, targetBytesMax: 1e6, ...rest };
  expect(await patchInWindows(job)).toBe(target.length);
  expect(back.bytes().equals(target)).toBe(true);
}

it('native to TypeScript', () => crossing(loadEngine(), loadTwin()));
it('TypeScript to native', () => crossing(loadTwin(), loadEngine()));
