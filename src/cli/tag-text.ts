/** Tags as commands take them. */
import { LIMITS } from '../index.js';
import { argumentError } from './failure.js';

/** Throws DK_ARGUMENT that names the argument. */
export function assertTag(name: string, tag: string): void {
  const bytes = Buffer.byteLength(tag);
  if (bytes > LIMITS.tagBytes)
    throw argumentError(name, `a tag has at most ${LIMITS.tagBytes} bytes, this one ${bytes}`);
}

/** The text as far as a tag has room for it. */
export function cutToTag(text: string): string {
  if (Buffer.byteLength(text) <= LIMITS.tagBytes) return text;
  // A cut character at the end becomes a longer one: it goes.
  return Buffer.from(text)
    .subarray(0, LIMITS.tagBytes - 2)
    .toString('utf8')
    .replace(/\ufffd$/, '');
}
