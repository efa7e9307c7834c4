/** What `put` refuses: versions that could not be read back, or would be read back as something else. */
import { type BytePath, DiffKeeperError, LIMITS, pathToText } from '../core/core.js';
import {
  type Extent,
  extentsBytes,
  hasSafePath,
  type Recipe,
  VERSION_TYPE,
  type Version,
  type VersionType,
} from '../format/format.js';

const DIGEST_BYTES = 32;
/** More extents than this may not fit the room that a reader grants to an inline recipe. */
const INLINE_MAX = 1024;

/** Throws DK_UNSAFE_PATH: absolute, empty or dotted components, NUL, too long, or no byte string at all. */
export function checkPutPath(path: BytePath, type: VersionType): void {
  if (hasSafePath({ path, type }) && isByteString(path)) return;
  const shown = pathToText(path.slice(0, 200));
  throw new DiffKeeperError('DK_UNSAFE_PATH', `a version may not have the path ${JSON.stringify(shown)}`, {
    path: shown,
  });
}

/** Characters above 255 are no bytes: they would be cut to some other name's. */
function isByteString(path: BytePath): boolean {
  for (let at = 0; at < path.length; at += 1) if (path.charCodeAt(at) > 255) return false;
  return true;
}

/** Throws DK_UNSAFE_PATH, DK_LIMIT, or RangeError for what a reader would refuse. */
export function checkPutVersion(version: Version): void {
  checkPutPath(version.path, version.type);
  if (version.type === VERSION_TYPE.removed) return;
  checkNumber('mode', version.mode, 0o7777);
  checkNumber('uid', version.uid, 0xffffffff);
  checkNumber('gid', version.gid, 0xffffffff);
  if (BigInt.asIntN(64, version.mtimeNs) !== version.mtimeNs) wrong('mtimeNs', 'a signed 64-bit number');
  if (BigInt.asUintN(64, version.linkId) !== version.linkId) wrong('linkId', 'an unsigned 64-bit number');
  checkLimit('extended attributes', version.xattrs.length, LIMITS.xattrBytes);
  if (version.type === VERSION_TYPE.directory) return;
  if (version.digest?.length !== DIGEST_BYTES) wrong('digest', `${DIGEST_BYTES} bytes`);
  if (version.type === VERSION_TYPE.symlink) {
    checkLimit('a link text', version.linkText.length, LIMITS.pathBytes);
    if (version.size !== version.linkText.length) wrong('size', `${version.linkText.length}, the link text's length`);
    return;
  }
  if (version.type !== VERSION_TYPE.file) wrong('type', 'one of VERSION_TYPE');
  checkLimit('a file', version.size, LIMITS.fileBytes);
  checkNumber('size', version.size, LIMITS.fileBytes);
  if (!fits(version.recipe, version.size)) wrong('recipe', `one of ${version.size} bytes`);
}

function fits(recipe: Recipe, size: number): boolean {
  switch (recipe.kind) {
    case 'empty':
      return size === 0;
    case 'whole':
      return size > 0 && size <= LIMITS.blobBytes;
    case 'inline':
      return recipe.extents.length <= INLINE_MAX && recipe.extents.every(isReadable) && covers(recipe.extents, size);
    case 'regions':
      return recipe.regions.length === Math.ceil(size / LIMITS.regionBytes);
  }
}

function isReadable({ digest, offset, length }: Extent): boolean {
  const bounded = digest === null ? offset === 0 : offset >= 0 && offset + length <= LIMITS.blobBytes;
  return bounded && length > 0;
}

function covers(extents: readonly Extent[], size: number): boolean {
  return extentsBytes(extents) === size;
}

function checkNumber(name: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) wrong(name, `a whole number from 0 to ${max}`);
}

function checkLimit(what: string, actual: number, expected: number): void {
  if (actual <= expected) return;
  throw new DiffKeeperError('DK_LIMIT', `${what} may have ${expected} bytes, came ${actual}`, { expected, actual });
}

function wrong(name: string, expected: string): never {
  throw new RangeError(`${name} of a version must be ${expected}`);
}
