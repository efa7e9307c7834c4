/** Where files hold floats: headers, headers that lie, samples, and what `auto` makes of it. */
import { describe, expect, it } from 'vitest';
import { type DeltaReport, type DiffOptions, diff, inspectDelta, patch } from '../../src/delta/delta.js';
import { matchArrays, readTensorArrays } from '../../src/delta/tensor-layout.js';
import { patternBytes, textBytes } from '../engine/samples.js';

/** Floats, and the same a step later. */
function weights(count: number, shift: number): Buffer {
  const noise = patternBytes(count * 8, 3);
  const floats = new Float32Array(count);
  for (let i = 0; i < count; i += 1) {
    const value = ((noise.readUInt32LE(8 * i) / 2 ** 31 - 1) * 0.1) ** 3;
    floats[i] = value * (1 + (shift * noise.readInt32LE(8 * i + 4)) / 2 ** 48);
  }
  return Buffer.from(floats.buffer);
}

function safetensors(tensors: Readonly<Record<string, Buffer>>, dtype = 'F32', note = 'x'): Buffer {
  const head: Record<string, unknown> = { __metadata__: { note } };
  let at = 0;
  for (const [name, bytes] of Object.entries(tensors)) {
    head[name] = { dtype, shape: [bytes.length / 4], data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  const text = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...Object.values(tensors)]);
}

function npy(data: Buffer, descr = '<f4'): Buffer {
  const text = Buffer.from(
    `{'descr': '${descr}', 'fortran_order': False, 'shape': (${data.length / 4},), }`.padEnd(117),
  );
  const length = Buffer.alloc(2);
  length.writeUInt16LE(text.length + 1);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, text, Buffer.from('\n'), data]);
}

function gguf(tensors: Readonly<Record<string, Buffer>>): Buffer {
  const parts: Buffer[] = [Buffer.from('GGUF', 'latin1')];
  const u32 = (value: number) => void parts.push(Buffer.from(Uint32Array.of(value).buffer));
  const u64 = (value: number) => void parts.push(Buffer.from(BigUint64Array.of(BigInt(value)).buffer));
  const text = (value: string) => {
    u64(value.length);
    parts.push(Buffer.from(value, 'latin1'));
  };
  u32(3);
  u64(Object.keys(tensors).length);
  u64(3);
  text('general.name');
  u32(8);
  text('a model');
  text('general.alignment');
  u32(4);
  u32(64);
  text('tokens');
  u32(9);
  u32(8);
  u64(2);
  text('a');
  text('bc');
  let at = 0;
  for (const [name, bytes] of Object.entries(tensors)) {
    text(name);
    u32(2);
    u64(bytes.length / 16);
    u64(4);
    u32(0);
    u64(at);
    at += bytes.length;
  }
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([...parts, Buffer.alloc(Math.ceil(bytes / 64) * 64 - bytes), ...Object.values(tensors)]);
}

const [before, after] = [weights(100_000, 0), weights(100_000, 1)];

async function reported(source: Buffer, target: Buffer, options: DiffOptions = {}) {
  let report: DeltaReport | undefined;
  const delta = await diff(source, target, {
    ...options,
    onReport: (made) => {
      report = made;
    },
  });
  expect((await patch(source, delta)).equals(target)).toBe(true);
  return {
    report: report as unknown as DeltaReport,
    share: delta.length / target.length,
    info: await inspectDelta(delta),
  };
}

describe('headers', () => {
  it.each([
    ['safetensors', safetensors({ a: before, b: after })],
    ['gguf', gguf({ a: before, b: after })],
  ])('%s', (_name, file) => {
    const arrays = readTensorArrays(file) ?? [];
    expect(arrays.map(({ name, bytes, width }) => [name, bytes, width])).toEqual([
      ['a', 400_000, 4],
      ['b', 400_000, 4],
    ]);
    expect(file.subarray(arrays[1]?.begin).equals(after)).toBe(true);
  });

  it('npy, of several widths', () => {
    expect(readTensorArrays(npy(before))).toEqual([{ name: 'array', begin: 128, bytes: 400_000, width: 4 }]);
    expect(readTensorArrays(npy(before, '<f8'))?.[0]?.width).toBe(8);
    expect(readTensorArrays(npy(before, '<i4'))).toBeUndefined();
  });

  it('are refused, not believed', () => {
    for (const file of [safetensors({ a: before }), gguf({ a: before }), npy(before)]) {
      for (let end = 0; end < 300; end += 1) {
        for (const { begin, bytes } of readTensorArrays(file.subarray(0, end)) ?? []) {
          expect(begin + bytes).toBeLessThanOrEqual(end);
        }
      }
      for (let at = 0; at < 250; at += 1) {
        const bad = Buffer.from(file);
        bad[at] = (bad[at] as number) ^ (1 << (at % 8));
        for (const { begin, bytes } of readTensorArrays(bad) ?? [])
          expect(begin + bytes).toBeLessThanOrEqual(bad.length);
      }
    }
    const overlapping = safetensors({ a: before });
    expect(readTensorArrays(Buffer.from(overlapping.toString('latin1').replace('400000', '900000'), 'latin1'))).toEqual(
      [],
    );
  });

  it('match arrays by name', () => {
    const source = readTensorArrays(safetensors({ a: before, b: after })) ?? [];
    const target = readTensorArrays(safetensors({ b: before, c: after })) ?? [];
    const regions = matchArrays(source, target);
    expect(regions[0]?.source).toBe(source[1]?.begin);
    expect(regions[1]?.source).toBeUndefined();
  });
});

describe('auto', () => {
  const forms: [string, Buffer, Buffer][] = [
    ['safetensors', safetensors({ w: before }), safetensors({ w: after })],
    ['a header that grew', safetensors({ w: before }, 'F32', '9'), safetensors({ w: after }, 'F32', 'ten steps')],
    [
      'arrays in another order',
      safetensors({ a: before, b: patternBytes(8, 1) }),
      safetensors({ b: patternBytes(8, 1), a: after }),
    ],
    ['npy', npy(before), npy(after)],
    ['gguf', gguf({ w: before }), gguf({ w: after })],
    ['no header at all', before, after],
  ];
  it.each(forms)('takes tensor for %s', async (_name, source, target) => {
    const { info, share, report } = await reported(source, target);
    expect(info.engine).toBe('tensor');
    expect(share).toBeLessThan(0.8);
    expect(report.candidates.find(({ engine }) => engine === 'align')?.bytes).toBeUndefined();
  });

  it('does not take it for text, moved bytes or noise', async () => {
    const text = textBytes(400_000, 1);
    const noise = patternBytes(400_000, 1);
    for (const [source, target] of [
      [text, textBytes(400_000, 2)],
      [noise, Buffer.concat([patternBytes(40, 2), noise])],
      [noise, patternBytes(400_000, 2)],
    ] as const) {
      expect((await reported(source, target)).info.engine).not.toBe('tensor');
    }
  });

  it('runs align, too, when floats moved', async () => {
    const target = Buffer.concat([weights(50, 3), before]);
    const { info, share } = await reported(before, target);
    expect(info.engine).toBe('align');
    expect(share).toBeLessThan(0.01);
  });

  it('believes what it is told', async () => {
    const regions = [{ begin: 0, bytes: 8000, width: 4 as const, source: 0 }];
    const { info, report } = await reported(before.subarray(0, 8000), after.subarray(0, 8000), { regions });
    expect(info.engine).toBe('tensor');
    expect(report.candidates.find(({ engine }) => engine === 'tensor')?.reason).toMatch(/announced/);
    expect((await reported(before, after, { engine: 'tensor' })).info.engine).toBe('tensor');
    expect((await reported(Buffer.alloc(0), after, { engine: 'tensor' })).info.engine).toBe('tensor');
  });
});
