/** Which names are one file: hard links, as a capture saw them. */
import { VERSION_TYPE, type Version } from './types.js';

/**
 * Equal for names of one file; null for what has one name alone. The number by itself does not say it: names that were
 * captured at different moments of a changing file have different content, and a crafted store has any numbers.
 */
export function hardLinkKey({
  type,
  linkId,
  size,
  digest,
}: Pick<Version, 'type' | 'linkId' | 'size' | 'digest'>): string | null {
  if (type !== VERSION_TYPE.file || linkId === 0n || digest === null) return null;
  return `${linkId} ${size} ${digest.toString('latin1')}`;
}
