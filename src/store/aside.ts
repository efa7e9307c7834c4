/** Names in the quarantine. */
import * as path from 'node:path';
import { randomBytes } from '../core/core.js';

/** A path in the quarantine that nothing has: putting aside may happen twice within the same millisecond. */
export function placeAside(quarantine: string, name: string): string {
  return path.join(quarantine, `${name}-${Date.now()}-${randomBytes(4).toString('hex')}`);
}
