/** Argument checks of what is sent. */
import { LIMITS } from '../core/core.js';
import { checkName } from './messages.js';
import type { BlobSource } from './types.js';

/** Throws RangeError. */
export function checkBlob({ service, key, size, digest, meta }: BlobSource): void {
  checkName(service, 'service');
  if (!Number.isSafeInteger(size) || size < 0 || size > LIMITS.fileBytes) {
    throw new RangeError(`size must be 0 to ${LIMITS.fileBytes}, not ${size}`);
  }
  if (key.length > LIMITS.blobKeyBytes) throw new RangeError(`key must have at most ${LIMITS.blobKeyBytes} bytes`);
  if (digest !== undefined && digest.length !== 32) throw new RangeError('digest must have 32 bytes');
  if (meta !== undefined && meta.length > LIMITS.blobMetaBytes) {
    throw new RangeError(`meta must have at most ${LIMITS.blobMetaBytes} bytes`);
  }
}
