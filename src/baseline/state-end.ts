/** What a message promises of the state that it makes, held against what came of it. */
import { DiffKeeperError } from '../core/core.js';
import type { StateHead } from './state-message.js';

/** Its lengths were compared when the parts came. Throws DK_DIGEST_MISMATCH. */
export function checkEnd(head: StateHead, end: { readonly digest: Buffer }, digest: Buffer): Buffer {
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
