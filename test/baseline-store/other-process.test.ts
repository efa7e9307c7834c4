/** A decoder in another process goes on after restarts on either side. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EncodedState, StateEncoder } from '../../src/baseline/baseline.js';
import { openBaselineStore } from '../../src/baseline-store/baseline-store.js';
import { openStore, type Store } from '../../src/store/store.js';
import { ensureBuilt } from '../cli/cli-process.js';
import { editedBytes, patternBytes } from '../engine/samples.js';
import { projectRoot } from '../project/source-tree.js';

interface Told {
  readonly kind?: string;
  readonly digest?: string;
  readonly code?: string;
  readonly facts?: { readonly key?: string };
}

class DecoderProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;

  constructor(store: string) {
    const script = join(projectRoot, 'test', 'baseline-store', 'decoder-process.mjs');
    this.#child = spawn(process.execPath, [script, store]);
    this.#lines = createInterface({ input: this.#child.stdout });
  }

  async tell(message: EncodedState): Promise<Told> {
    const line = once(this.#lines, 'line');
    this.#child.stdin.write(`${message.toBuffer().toString('base64')}\n`);
    return JSON.parse((await line)[0] as string) as Told;
  }

  async end(signal?: 'SIGKILL'): Promise<void> {
    const exit = once(this.#child, 'exit');
    if (signal === undefined) this.#child.stdin.end();
    else this.#child.kill(signal);
    await exit;
  }
}

let directory: string;
let store: Store;
beforeAll(async () => {
  await ensureBuilt();
  directory = await mkdtemp(join(tmpdir(), 'dk-process-'));
}, 180_000);
afterAll(() => rm(directory, { recursive: true }));

async function startEncoder(): Promise<StateEncoder> {
  store = await openStore(join(directory, 'encoder'), { create: true });
  return new StateEncoder({ store: openBaselineStore(store) });
}

describe('a decoder in another process', () => {
  const state = patternBytes(500_000, 1);
  const digestOf = (seed: number): string => createHash('sha256').update(editedBytes(state, seed)).digest('hex');

  it('takes deltas after either side has restarted, orderly or not, and asks when it starts empty', async () => {
    const place = join(directory, 'decoder');
    let encoder = await startEncoder();
    let decoder = new DecoderProcess(place);
    const next = async (seed: number): Promise<Told> =>
      decoder.tell(await encoder.encode('k', editedBytes(state, seed)));
    expect(await next(0)).toEqual({ kind: 'full', digest: digestOf(0) });
    expect(await next(1)).toEqual({ kind: 'delta', digest: digestOf(1) });
    await decoder.end();
    decoder = new DecoderProcess(place);
    expect(await next(2)).toEqual({ kind: 'delta', digest: digestOf(2) });
    await decoder.end('SIGKILL');
    decoder = new DecoderProcess(place);
    expect(await next(3)).toEqual({ kind: 'delta', digest: digestOf(3) });
    await encoder.close();
    await store.close();
    encoder = await startEncoder();
    expect(await next(4)).toEqual({ kind: 'delta', digest: digestOf(4) });
    await decoder.end();
    decoder = new DecoderProcess(join(directory, 'another'));
    const missed = await encoder.encode('k', editedBytes(state, 5));
    const told = await decoder.tell(missed);
    expect(told).toMatchObject({ code: 'DK_BASELINE_MISSING', facts: { key: 'k', baselineId: missed.sourceId } });
    const answer = (await encoder.resync(told.facts?.key ?? '')) as EncodedState;
    expect(await decoder.tell(answer)).toEqual({ kind: 'full', digest: digestOf(0) });
    expect(await decoder.tell(missed)).toEqual({ kind: 'delta', digest: digestOf(5) });
    await decoder.end();
    await encoder.close();
    await store.close();
  }, 60_000);
});
