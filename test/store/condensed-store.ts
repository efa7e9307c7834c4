/** A store with a history of small texts, for the tests of dense packs. */
import * as path from 'node:path';
import { ClassicLevel } from 'classic-level';
import type { Store } from '../../src/store/store.js';
import { noise, putExtents } from './store-fixture.js';

/** Lines of which each version changes one. */
export function textOf(version: number, name: string): Buffer {
  const lines = Array.from({ length: 60 }, (_, line) => {
    const changed = Math.max(0, version - ((((version - line) % 60) + 60) % 60));
    return `${name}.setting_${line} = ${noise(9, changed * 61 + line + 1).toString('hex')}`;
  });
  return Buffer.from(`${lines.join('\n')}\n`);
}

/** One checkpoint; what has an older version is coded against it, as captures do it. */
async function commitAgainst(store: Store, files: Record<string, Buffer | null>): Promise<void> {
  const transaction = store.begin();
  for (const [name, bytes] of Object.entries(files)) {
    if (bytes === null) {
      transaction.remove(name);
      continue;
    }
    const [head] = await store.heads([name]);
    const older = head?.digest && { digest: head.digest, bytes: await store.reader(head).read(0, head.size) };
    const extents = older && [{ digest: older.digest, offset: 0, length: older.bytes.length }];
    const context = older && extents && { context: { bytes: older.bytes, extents, aligned: false } };
    const [digest] = await transaction.storeBlobs([{ bytes, kind: 'blob', ...context }]);
    await putExtents(transaction, name, {
      extents: [{ digest: digest as Buffer, offset: 0, length: bytes.length }],
      digest: digest as Buffer,
    });
  }
  await transaction.commit();
}

/** One file that each checkpoint changes, one that some do, one that goes, one that stays. */
export async function writeHistory(store: Store, from: number, to: number): Promise<void> {
  for (let version = from; version <= to; version += 1) {
    await commitAgainst(store, {
      'a/each': textOf(version, 'each'),
      ...(version % 7 === 1 && { 'a/some': textOf(version, 'some') }),
      ...(version === 2 && { gone: noise(3000, 5), stays: noise(2000, 6) }),
      ...(version === 5 && { gone: null }),
    });
  }
}

/** Content of every file at every checkpoint, as digests; an unreadable one is its error's code. */
export async function everything(store: Store): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for await (const { sequence } of store.checkpoints()) {
    for await (const batch of store.entries({ at: sequence })) {
      for (const version of batch) {
        if (version.type !== 1) continue;
        const bytes = await store
          .reader(version)
          .read(0, version.size)
          .catch((error: { code?: string }) => Buffer.from(String(error.code)));
        const right = store.engine.digest(store.hashAlgo, bytes).equals(version.digest as Buffer);
        all.set(
          `${version.path}@${sequence}`,
          right ? (version.digest?.toString('hex') ?? '') : bytes.toString('latin1', 0, 20),
        );
      }
    }
  }
  return all;
}

/** Every key of the metadata of a closed store. */
export async function metadataOf(root: string): Promise<Map<string, string>> {
  const level = new ClassicLevel<Buffer, Buffer>(path.join(root, 'meta'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
  });
  const all = new Map<string, string>();
  try {
    for await (const [key, value] of level.iterator()) all.set(key.toString('latin1'), value.toString('hex'));
  } finally {
    await level.close();
  }
  return all;
}

/** Where the groups of a dense pack begin, from its bytes. */
export function groupsOf(pack: Buffer): number[] {
  const places: number[] = [];
  for (let at = 64; pack.toString('latin1', at, at + 4) === 'DKG2'; at += 48 + pack.readUInt32LE(at + 4))
    places.push(at);
  return places;
}
