/** What a message promises of the state that it makes, held against what came of it. */
import { DiffKeeperError } from '../core/core.js';
import { corruptState, type StateHead } from './state-message.js';

/** Throws DK_CORRUPT_DELTA and DK_DIGEST_MISMATCH. */
export function checkEnd(
  head: StateHead,
  end: { readonly stateBytes: number; readonly digest: Buffer },
  digests: readonly Buffer[],
  stateBytes: number,
  digest: Buffer,
): Buffer {
  if (digests.length === 0) throw corruptState('it has no segment');
  if (end.stateBytes !== stateBytes || (head.stateBytes ?? stateBytes) !== stateBytes) {
    throw corruptState(`its segments make ${stateBytes} bytes, not ${end.stateBytes}`);
  }
  if (!end.digest.equals(digest)) throw otherBytes(head.key, end.digest, digest);
  return digest;
}

export function otherBytes(key: string, expected: Buffer, actual: Buffer): DiffKeeperError {
  return new DiffKeeperError('DK_DIGEST_MISMATCH', `the message of ${key} decodes to other bytes than it promises`, {
    key,
    expected: expected.toString('hex'),
    actual: actual.toString('hex'),
  });
}
