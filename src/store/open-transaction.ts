/** Gathers what a transaction of an open store needs. */
import { LEVEL_DEFAULT } from '../engine/engine.js';
import type { Checkpoint } from '../format/format.js';
import { BlobWriter } from './blob-writer.js';
import type { CodingAids } from './coding-aids.js';
import type { OpenFacts } from './open-store.js';
import type { ReadLeases } from './read-leases.js';
import { StoreTransaction, type TransactionParts } from './transaction.js';

type Shared = CodingAids & { readonly leases: ReadLeases } & Pick<
    TransactionParts,
    'engine' | 'algo' | 'checksum' | 'meta' | 'packs' | 'blobs' | 'heads' | 'tree'
  > & {
    readonly newest: Checkpoint | null;
  };

export function openTransaction(
  { level, snapshotInterval, clock }: OpenFacts,
  shared: Shared,
  own: Pick<TransactionParts, 'state' | 'adopted' | 'forgetLost' | 'ended' | 'alone' | 'ready'>,
): StoreTransaction {
  return new StoreTransaction({
    ...shared,
    ...own,
    writer: new BlobWriter({ ...shared, level: level ?? LEVEL_DEFAULT, depthMax: snapshotInterval }),
    nowMs: own.adopted?.checkpoint.timeMs ?? clock.nowMs(),
    newestDigest: own.state?.checkpointDigest ?? Buffer.alloc(32),
  });
}
