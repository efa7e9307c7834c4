/** Checkpoints that a hand has made. */
import {
  type Checkpoint,
  encodeCheckpoint,
  encodeRecord,
  encodeVersion,
  encodeVersionsRecord,
  RECORD,
  type Version,
} from '../../src/format/format.js';
import type { Store } from '../../src/store/store.js';

/** A whole, well-formed checkpoint that the store itself would never write, to be appended to its pack. */
export function forgeCheckpoint(store: Store, versions: readonly Version[], facts: Partial<Checkpoint> = {}): Buffer {
  const { engine, hashAlgo, newest } = store;
  const record = (kind: 3 | 4, bytes: Buffer): Buffer =>
    encodeRecord(
      {
        kind,
        codec: 0,
        depth: 0,
        digest: engine.digest(hashAlgo, bytes),
        decodedBytes: bytes.length,
        contextList: Buffer.alloc(0),
        payload: bytes,
      },
      (part) => engine.xxh3(part),
    );
  if (!newest) throw new Error('the store is empty');
  const sequence = newest.sequence + 1;
  const part = encodeVersionsRecord(sequence, versions.map(encodeVersion));
  const parts = [engine.digest(hashAlgo, part)];
  const checkpoint = encodeCheckpoint({
    checkpoint: { ...newest, ...facts, sequence },
    previous: Buffer.alloc(32),
    parts,
  });
  return Buffer.concat([record(RECORD.versions, part), record(RECORD.checkpoint, checkpoint)]);
}
