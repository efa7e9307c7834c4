/** The key of a message that is in memory, before anything of it is read in turns: decodes of one key keep the order of the calls. */
import { isDiffKeeperError } from '../core/core.js';
import { ByteReader } from '../format/format.js';
import type { MessageInput } from './message-parts.js';
import { decodeShortHead } from './short-message.js';
import { decodeHead, HEAD_BYTES_MAX, STATE_MAGIC, STATE_VERSION, stateVersion } from './state-message.js';

/** Magic, version, length, and the longest head. */
const FRONT_BYTES = STATE_MAGIC.length + 1 + 4 + HEAD_BYTES_MAX;

/** Undefined for what is no head of a message, which reading all of it explains, and for chunks that are still to come. */
export function messageKey(message: MessageInput): string | undefined {
  const pieces: unknown = message instanceof Uint8Array ? [message] : message;
  if (!Array.isArray(pieces)) return undefined;
  const front: Uint8Array[] = [];
  let bytes = 0;
  for (const piece of pieces as readonly unknown[]) {
    if (!(piece instanceof Uint8Array)) return undefined;
    front.push(piece.subarray(0, FRONT_BYTES - bytes));
    bytes += piece.length;
    if (bytes >= FRONT_BYTES) break;
  }
  try {
    const reader = new ByteReader(Buffer.concat(front), 'DK_CORRUPT_DELTA', 'state message');
    if (!reader.bytes(STATE_MAGIC.length).equals(STATE_MAGIC)) return undefined;
    const version = stateVersion(reader.u8());
    const body = reader.bytes(reader.varint(HEAD_BYTES_MAX));
    return version === STATE_VERSION.short ? decodeShortHead(body).head.key : decodeHead(body, version).key;
  } catch (error) {
    if (isDiffKeeperError(error)) return undefined;
    throw error;
  }
}
