/** Errors that cross the wire: code and message; nothing else of a machine is told to another. */
import { DiffKeeperError, ERROR_CODES, type ErrorCode, isDiffKeeperError } from '../core/core.js';
import { ByteReader, ByteWriter } from '../format/format.js';

const CODE_BYTES_MAX = 64;
const MESSAGE_BYTES_MAX = 1024;

/** What of an error is told: the message of ours; of others only that there was one, since it may name anything. */
export function encodeError(error: unknown): Buffer {
  const ours = isDiffKeeperError(error);
  const code = ours ? error.code : 'DK_REMOTE';
  const told = ours || error instanceof RangeError || error instanceof TypeError;
  const message = Buffer.from(told ? error.message : 'the other side failed').subarray(0, MESSAGE_BYTES_MAX);
  return new ByteWriter(message.length + 40)
    .varint(code.length)
    .bytes(Buffer.from(code, 'latin1'))
    .varint(message.length)
    .bytes(message)
    .finish();
}

function isOurs(code: string): code is ErrorCode {
  return (ERROR_CODES as readonly string[]).includes(code);
}

/** The other side's error. A code that this release does not know becomes DK_REMOTE. Throws DK_PROTOCOL. */
export function decodeError(bytes: Buffer): DiffKeeperError {
  const reader = new ByteReader(bytes, 'DK_PROTOCOL', 'error');
  const code = reader.bytes(reader.varint(CODE_BYTES_MAX)).toString('latin1');
  const raw = reader.bytes(reader.varint(MESSAGE_BYTES_MAX)).toString('utf8');
  reader.expectEnd();
  // It goes to a terminal or a log: control characters must not.
  const message = raw.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
  return new DiffKeeperError(isOurs(code) ? code : 'DK_REMOTE', `the other side says: ${message}`, { name: code });
}

/** Any failure of a session as one of ours. */
export function asSessionError(reason: unknown): DiffKeeperError {
  if (isDiffKeeperError(reason)) return reason;
  const message = reason instanceof Error ? reason.message : String(reason);
  return new DiffKeeperError('DK_CONNECTION', `the connection failed: ${message}`, {}, reason);
}
