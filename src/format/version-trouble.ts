/** Versions that contradict themselves, whatever their record's digest says: nothing may be made of them. */
import { LIMITS } from '../core/core.js';
import { VERSION_TYPE, type Version } from './types.js';

/** What is wrong with a live version, as the end of a sentence about the entry; null when nothing is. Says nothing about its path. */
export function versionTrouble(version: Version): string | null {
  const { type, size, digest, recipe } = version;
  if (version.xattrs.length > LIMITS.xattrBytes) return 'has too many extended attributes';
  if (type === VERSION_TYPE.directory) return null;
  if (type !== VERSION_TYPE.file && type !== VERSION_TYPE.symlink) return `has the unknown type ${type}`;
  if (!Number.isSafeInteger(size) || size < 0 || size > LIMITS.fileBytes) return `has the impossible size ${size}`;
  if (digest === null || digest.length !== 32) return 'has no digest';
  if (type === VERSION_TYPE.symlink) {
    const { linkText } = version;
    const usable = linkText.length > 0 && linkText.length <= LIMITS.pathBytes && !linkText.includes(0);
    if (!usable) return 'has no usable link text';
    return linkText.length === size ? null : 'has a link text of another length';
  }
  if (recipe.kind === 'empty' && size !== 0) return `has ${size} bytes but no content`;
  if (recipe.kind === 'whole' && size > LIMITS.blobBytes) return 'is too large for one blob';
  return null;
}
