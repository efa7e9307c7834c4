/** A store of baselines in a directory of its own for each test, opened anew as often as a test wants. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { BaselineStore } from '../../src/baseline/baseline.js';
import { openBaselineStore } from '../../src/baseline-store/baseline-store.js';
import { openStore, type Store } from '../../src/store/store.js';
import { patternBytes } from '../engine/samples.js';

export const SEGMENT = 1 << 20;
export const state = patternBytes(2_500_000, 1);

export class BaselineRoom {
  directory = '';
  /** Opened last. */
  store!: Store;

  constructor() {
    beforeEach(async () => {
      this.directory = await mkdtemp(join(tmpdir(), 'dk-baselines-'));
    });
    afterEach(async () => {
      await this.store.close();
      await rm(this.directory, { recursive: true });
    });
  }

  readonly open = async (): Promise<BaselineStore> => {
    this.store = await openStore(join(this.directory, 'store'), { create: true });
    return openBaselineStore(this.store);
  };
}
