/** What workloads put into a store, and what they do to its files. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { removedVersion, VERSION_TYPE } from '../../src/format/format.js';
import type { Transaction } from '../../src/store/store.js';
import { STORE_NAME } from './check-state.js';
import { noise } from './noise.js';

/** Four files that share nothing, of a seed, each as it is or shifted. */
export function alike(seed: number, shift: number, prefix: string): [string, Buffer][] {
  return [0, 1, 2, 3].map((index) => {
    const bytes = noise(9000 + 3000 * index, seed * 10 + index + 4000);
    return [`${prefix}${index}`, Buffer.concat([noise(shift, seed + shift), bytes])];
  });
}

/** Stored in one call, each coded against what it resembles. */
export async function putAlike(transaction: Transaction, files: readonly [string, Buffer][]): Promise<void> {
  const inputs = files.map(([, bytes]) => ({ bytes, kind: 'blob' as const, similar: true }));
  const digests = await transaction.storeBlobs(inputs);
  for (const [index, [name, bytes]] of files.entries()) {
    const facts = { size: bytes.length, digest: digests[index] as Buffer, recipe: { kind: 'whole' as const } };
    transaction.put({ ...removedVersion(name, 0), type: VERSION_TYPE.file, mode: 0o644, ...facts });
  }
}

/** Versions of a text of which a line changes each time. */
export function versionOf(seed: number): Buffer {
  const lines = Array.from({ length: 40 }, (_, line) => {
    const changed = Math.max(0, seed - ((((seed - line) % 40) + 40) % 40));
    return `setting_${line} = ${noise(12, changed * 41 + line + 1).toString('hex')}`;
  });
  return Buffer.from(`${lines.join('\n')}\n`);
}

/** Leaves the marker as releases did that made no copy of it. */
export function makeMarkerOlder(base: string): void {
  const file = path.join(base, STORE_NAME, 'DIFFKEEPER');
  const { check, ...facts } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  if (check === undefined) throw new Error('the marker has no digest');
  writeFileSync(file, `${JSON.stringify(facts)}\n`);
  rmSync(`${file}.copy`);
}
