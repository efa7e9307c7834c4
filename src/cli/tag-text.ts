/** Tags as commands take them. */
import { argumentError } from './failure.js';

/** A checkpoint's tag holds so many bytes. */
const TAG_BYTES = 1024;

/** Throws DK_ARGUMENT that names the argument. */
export function assertTag(name: string, tag: string): void {
  const bytes = Buffer.byteLength(tag);
  if (bytes > TAG_BYTES) throw argumentError(name, `a tag has at most ${TAG_BYTES} bytes, this one ${bytes}`);
}

/** The text as far as a tag has room for it. */
export function cutToTag(text: string): string {
  if (Buffer.byteLength(text) <= TAG_BYTES) return text;
  // A cut character at the end becomes a longer one: it goes.
  return Buffer.from(text)
    .subarray(0, TAG_BYTES - 2)
    .toString('utf8')
    .replace(/\ufffd$/, '');
}
