/** What packs need of an open store. */
import type { StoreKeys } from '../crypt/crypt.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import type { Checksum, Marker } from '../format/format.js';
import { type RecordCoder, recordCoder } from './record-coder.js';

export interface PackFacts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly storeId: Buffer;
  readonly checksum: Checksum;
  readonly records: RecordCoder;
}

export function packFacts(
  facts: Pick<PackFacts, 'engine' | 'checksum'> & { readonly marker: Marker; readonly keys: StoreKeys | null },
): PackFacts {
  const { engine, checksum, marker, keys } = facts;
  return {
    engine,
    algo: marker.hashAlgo,
    checksum,
    storeId: Buffer.from(marker.id, 'hex'),
    records: recordCoder(checksum, keys),
  };
}
