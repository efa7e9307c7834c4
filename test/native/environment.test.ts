import { execFileSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { addon, addonPath, noise, prose } from './addon-door.js';

/** Starts a worker thread that keeps the addon busy and reports `ready` once jobs are under way. */
function busyWorker(): Worker {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    const addon = require(workerData);
    const data = Buffer.alloc(8 << 20, 'abcdefg');
    const again = () => addon.compress(data, { level: 12 }).then(again);
    for (let i = 0; i < 6; i += 1) { again(); addon.digestAsync('sha256', data); }
    parentPort.postMessage('ready');`;
  return new Worker(code, { eval: true, workerData: addonPath });
}

describe('environments', () => {
  it('survives the end of a worker thread in the middle of calls', async () => {
    for (let round = 0; round < 3; round += 1) {
      const worker = busyWorker();
      await new Promise((resolve) => worker.once('message', resolve));
      await new Promise((resolve) => setTimeout(resolve, 5 * round));
      await worker.terminate();
    }
    expect((await addon.digestAsync('blake3', noise(10, 1))).length).toBe(32);
  });

  it('lets a process end: idle at once, and with a job under way when told to', () => {
    const load = `const a = require(${JSON.stringify(addonPath)});`;
    const job = `const job = a.compress(Buffer.alloc(4 << 20, 'xyz'), { level: 19 });`;
    const run = (code: string): string =>
      execFileSync(process.execPath, ['-e', load + code], { encoding: 'utf8', timeout: 30_000 });
    expect(run('')).toBe('');
    // A pending promise keeps the process alive until it settles.
    expect(run(`${job} job.then((frame) => console.log(frame.length > 0));`)).toBe('true\n');
    expect(run(`${job} process.exit(0);`)).toBe('');
  });

  it('does not make the end of a process wait for a long compression', () => {
    const code = `const a = require(${JSON.stringify(addonPath)});
      const data = require('node:crypto').randomBytes(3 << 20).toString('hex');
      a.compress(Buffer.from(data.repeat(20)), { level: 19, context: Buffer.from(data) });
      setTimeout(() => process.exit(0), 50);`;
    execFileSync(process.execPath, ['-e', code], { timeout: 30_000 });
  });

  it('compresses a long input in steps', async () => {
    const text = prose(7 << 20, 6);
    for (const options of [{ level: 3 }, { level: 3, context: noise(1 << 20, 1) }]) {
      const frame = await addon.compress(text, options);
      expect((await addon.decompress(frame, { ...options, decodedBytes: text.length })).equals(text)).toBe(true);
      expect(frame.length).toBeLessThan(text.length / 4);
    }
  });

  it('reads arrays on shared and resizable memory from a copy', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(3 << 20)).fill(5);
    const plain = new Uint8Array(3 << 20).fill(5);
    expect(await addon.digestAsync('blake3', shared)).toEqual(await addon.digestAsync('blake3', plain));
    const Resizable = ArrayBuffer as unknown as new (
      bytes: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer & {
      resize(bytes: number): void;
    };
    const buffer = new Resizable(3 << 20, { maxByteLength: 4 << 20 });
    const view = new Uint8Array(buffer).fill(5);
    const pending = addon.digestAsync('blake3', view);
    buffer.resize(0);
    expect(await pending).toEqual(await addon.digestAsync('blake3', plain));
  });

  it('refuses arguments of the wrong type by name', () => {
    const call = addon.digest as unknown as (...values: unknown[]) => Buffer;
    expect(() => call('md5', new Uint8Array(1))).toThrow(TypeError);
    expect(() => call('blake3', 'text')).toThrow(/data must be a Uint8Array/);
    expect(() => call('blake3', new Uint16Array(1))).toThrow(expect.objectContaining({ code: 'DK_ARGUMENT' }));
    expect(() => call()).toThrow(TypeError);
  });

  it('gives memory back: many large results leave no trace', async () => {
    const data = noise(1 << 20, 4);
    const frame = await addon.compress(data);
    for (let i = 0; i < 50; i += 1) await addon.decompress(frame, { decodedBytes: data.length });
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 400; i += 1) await addon.decompress(frame, { decodedBytes: data.length });
    expect(process.memoryUsage().rss - before).toBeLessThan(200 << 20);
  });
});
