/** What the header of a zstd frame says (RFC 8878, 3.1.1.1), read before any decoder trusts it. */
import { DiffKeeperError } from '../core/core.js';

const FRAME_MAGIC = 0xfd2fb528;
/** Largest window of the 32-bit library. */
const WINDOW_LOG_MAX = 30;

/**
 * Content size that the header of a frame announces; undefined when it announces none. Throws DK_CORRUPT_DELTA for
 * anything that a decoder with windows up to `windowLogMax` (default: that of the 32-bit library) could not open either.
 */
export function frameContentBytes(frame: Uint8Array, windowLogMax = WINDOW_LOG_MAX): number | undefined {
  const bad = (what: string): DiffKeeperError => new DiffKeeperError('DK_CORRUPT_DELTA', `not a zstd frame: ${what}`);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 6) throw bad('too short');
  if (view.getUint32(0, true) !== FRAME_MAGIC) throw bad('wrong magic');
  const descriptor = view.getUint8(4);
  if ((descriptor & 8) !== 0) throw bad('a reserved bit is set');
  const single = (descriptor & 32) !== 0;
  const sizeCode = descriptor >> 6;
  const sizeBytes = sizeCode === 0 ? (single ? 1 : 0) : 1 << sizeCode;
  const at = 5 + (single ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] as number);
  if (frame.length < at + sizeBytes) throw bad('the header is cut off');
  if (!single && 10 + (view.getUint8(5) >> 3) > windowLogMax) throw bad('the window is too large');
  if (sizeBytes === 0) return undefined;
  if (sizeBytes === 1) return view.getUint8(at);
  if (sizeBytes === 2) return view.getUint16(at, true) + 256;
  if (sizeBytes === 4) return view.getUint32(at, true);
  return Number(view.getBigUint64(at, true));
}
