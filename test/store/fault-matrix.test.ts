/**
 * Each kind of call fails once with each code that the system may give it, at each position, and at each from there
 * on where that is likely (`docs/durability.md`, section 4). `store-faults.test.ts` has the calls that change the disk
 * all together, with writes that fail half done.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StoreOptions } from '../../src/store/store.js';
import { CALLS, disk, type FailurePlan, NO_FAILURE } from './failing-disk.js';
import { COMMITS, expectSound, expectTyped, live } from './failing-life.js';

vi.mock('node:fs/promises', async (original) => {
  const { failingFs } = await import('./failing-disk.js');
  return failingFs(await original());
});
vi.mock('classic-level', async (original) => {
  const { failingLevel } = await import('./failing-disk.js');
  return failingLevel(await original());
});

let base = '';
beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-matrix-'));
});
afterEach(async () => {
  disk.begin(NO_FAILURE);
  await rm(base, { recursive: true, force: true });
});

const CODES: Record<keyof typeof CALLS, readonly FailurePlan['code'][]> = {
  write: ['ENOSPC', 'EIO', 'EACCES', 'short'],
  fsync: ['ENOSPC', 'EIO', 'EACCES'],
  open: ['ENOSPC', 'EIO', 'EMFILE', 'EACCES'],
  read: ['EIO', 'EMFILE', 'EACCES', 'short'],
  rename: ['ENOSPC', 'EIO', 'EMFILE', 'EACCES'],
};

const rows = (Object.keys(CODES) as (keyof typeof CALLS)[]).flatMap((call) =>
  CODES[call].map((code) => ({ call, code })),
);

/** Keys, their files and sealed records besides; what the calls are told for is the same. */
const ENCRYPTED = { encrypt: true, key: { keyBytes: Buffer.alloc(32, 'k') } };

/** A life with one failure, or with nothing but failures from there on. */
async function failAt(at: number, plan: Omit<FailurePlan, 'at'>, options: StoreOptions = {}): Promise<number> {
  const root = path.join(base, `keep-${at}-${plan.sticky}`);
  disk.begin({ ...plan, at });
  const { acknowledged, errors } = await live(root, options);
  const { failed } = disk;
  const log = disk.log.join(', ');
  disk.begin(NO_FAILURE);
  try {
    if (plan.code === 'short') expect(errors).toEqual([]);
    else expectTyped(errors, plan.code);
    const kept = await expectSound(root, options);
    expect(kept).toBeGreaterThanOrEqual(acknowledged);
    if (!plan.sticky) expect(kept).toBe(COMMITS.length);
  } catch (error) {
    throw new Error(`call ${at} failed (${log})`, { cause: error });
  }
  await rm(root, { recursive: true, force: true });
  return failed;
}

describe.each(rows)('$call that ends with $code', ({ call, code }) => {
  it('is told, loses nothing, and life goes on', async () => {
    const calls = CALLS[call];
    let at = 1;
    while ((await failAt(at, { sticky: false, code, partial: false, calls })) > 0) at += 1;
    expect(at).toBeGreaterThan(5);
  });
});

describe('a process that has no file descriptors left from some call on', () => {
  it('is told, and loses nothing', async () => {
    const plan = { sticky: true, code: 'EMFILE', partial: false, calls: CALLS.open } as const;
    let at = 1;
    while ((await failAt(at, plan)) > 0) at += 3;
    expect(at).toBeGreaterThan(5);
  });
});

describe.each(Object.keys(CALLS) as (keyof typeof CALLS)[])('%s that ends with EIO, of an encrypted store', (kind) => {
  it('is told, loses nothing, and life goes on', async () => {
    const plan = { sticky: false, code: 'EIO', partial: false, calls: CALLS[kind] } as const;
    let at = 1;
    while ((await failAt(at, plan, ENCRYPTED)) > 0) at += 1;
    expect(at).toBeGreaterThan(5);
  });
});
