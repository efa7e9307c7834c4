/** Bytes go to the disk while more of them arrive. */
import { describe, expect, it } from 'vitest';
import { WriteOut } from '../../src/transport/write-out.js';

const MIB = 1 << 20;

/** A file whose write-outs end when they are told to. */
class HeldFile {
  readonly calls: string[] = [];
  readonly #held: { resolve(): void; reject(error: Error): void }[] = [];

  datasync(): Promise<void> {
    this.calls.push('datasync');
    return new Promise((resolve, reject) => this.#held.push({ resolve, reject }));
  }

  async sync(): Promise<void> {
    this.calls.push('sync');
  }

  async release(error?: Error): Promise<void> {
    const held = this.#held.shift();
    if (error) held?.reject(error);
    else held?.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a write-out', () => {
  it('begins with every 64 MiB, one at a time, and the end waits for it', async () => {
    const file = new HeldFile();
    const writeOut = new WriteOut(file);
    for (let count = 0; count < 63; count += 1) writeOut.wrote(MIB);
    expect(file.calls).toEqual([]);
    for (let count = 0; count < 100; count += 1) writeOut.wrote(MIB);
    expect(file.calls).toEqual(['datasync']);
    await file.release();
    writeOut.wrote(MIB);
    expect(file.calls).toEqual(['datasync', 'datasync']);
    const finished = writeOut.finish();
    await new Promise((resolve) => setImmediate(resolve));
    expect(file.calls).toEqual(['datasync', 'datasync']);
    await file.release();
    await finished;
    expect(file.calls).toEqual(['datasync', 'datasync', 'sync']);
  });

  it('that fails is told in the end, though the system would tell it no more', async () => {
    const file = new HeldFile();
    const writeOut = new WriteOut(file);
    writeOut.wrote(64 * MIB);
    await file.release(new Error('EIO'));
    writeOut.wrote(64 * MIB);
    await writeOut.settled();
    await expect(writeOut.finish()).rejects.toThrow('EIO');
    expect(file.calls).toEqual(['datasync']);
  });
});
