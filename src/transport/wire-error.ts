/**
 * Errors that cross the wire: code and message, and what a state decoder lacks; nothing else of a machine is told to
 * another.
 *
 *   error := varint length, code, varint length, message, [facts]
 *   facts := u8 flags, [varint length, key], [varint length, class], [varint baseline id],
 *            [varint length, digest as text], [varint dictionary id]
 */
import { DiffKeeperError, ERROR_CODES, type ErrorCode, type ErrorFacts, isDiffKeeperError } from '../core/core.js';
import { ByteReader, ByteWriter } from '../format/format.js';

const CODE_BYTES_MAX = 64;
const MESSAGE_BYTES_MAX = 1024;
const NAME_BYTES_MAX = 1024;
const DIGEST_TEXT_MAX = 128;
/** From this version of the protocol on. */
const FACTS_VERSION = 2;
/** Stored nowhere, but sent: never change, never reuse. */
const FACT = { key: 1, name: 2, baselineId: 4, digest: 8, number: 16 } as const;
const FACTS_KNOWN = 31;
/** The sender of the message made these facts itself: they give nothing away. */
const WITH_FACTS: readonly string[] = ['DK_BASELINE_MISSING', 'DK_BASELINE_MISMATCH', 'DK_DICTIONARY_MISSING'];

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Facts that do not fit are left out: a handler may have thrown the error by itself. */
function encodeFacts({ key, name, baselineId, expected }: ErrorFacts): Buffer {
  const body = new ByteWriter();
  let flags = 0;
  const text = (flag: number, value: unknown, max: number): void => {
    const bytes = typeof value === 'string' ? Buffer.from(value) : undefined;
    if (bytes === undefined || bytes.length > max) return;
    flags |= flag;
    body.varint(bytes.length).bytes(bytes);
  };
  const count = (flag: number, value: unknown): void => {
    if (!isCount(value)) return;
    flags |= flag;
    body.varint(value);
  };
  text(FACT.key, key, NAME_BYTES_MAX);
  text(FACT.name, name, NAME_BYTES_MAX);
  count(FACT.baselineId, baselineId);
  text(FACT.digest, expected, DIGEST_TEXT_MAX);
  count(FACT.number, expected);
  return new ByteWriter().u8(flags).bytes(body.finish()).finish();
}

function decodeFacts(reader: ByteReader): ErrorFacts {
  const flags = reader.flags(FACTS_KNOWN);
  const text = (max: number): string => reader.bytes(reader.varint(max)).toString('utf8');
  return {
    ...(flags & FACT.key ? { key: text(NAME_BYTES_MAX) } : {}),
    ...(flags & FACT.name ? { name: text(NAME_BYTES_MAX) } : {}),
    ...(flags & FACT.baselineId ? { baselineId: reader.varint() } : {}),
    ...(flags & FACT.digest ? { expected: text(DIGEST_TEXT_MAX) } : {}),
    ...(flags & FACT.number ? { expected: reader.varint() } : {}),
  };
}

/**
 * What of an error is told: the message of ours; of others only that there was one, since it may name anything.
 * @param version of the protocol that both sides speak
 */
export function encodeError(error: unknown, version = 1): Buffer {
  const ours = isDiffKeeperError(error);
  const code = ours ? error.code : 'DK_REMOTE';
  const told = ours || error instanceof RangeError || error instanceof TypeError;
  const message = Buffer.from(told ? error.message : 'the other side failed').subarray(0, MESSAGE_BYTES_MAX);
  const writer = new ByteWriter(message.length + 40)
    .varint(code.length)
    .bytes(Buffer.from(code, 'latin1'))
    .varint(message.length)
    .bytes(message);
  if (ours && version >= FACTS_VERSION && WITH_FACTS.includes(code)) writer.bytes(encodeFacts(error.facts));
  return writer.finish();
}

function isOurs(code: string): code is ErrorCode {
  return (ERROR_CODES as readonly string[]).includes(code);
}

/** The other side's error. A code that this release does not know becomes DK_REMOTE. Throws DK_PROTOCOL. */
export function decodeError(bytes: Buffer): DiffKeeperError {
  const reader = new ByteReader(bytes, 'DK_PROTOCOL', 'error');
  const code = reader.bytes(reader.varint(CODE_BYTES_MAX)).toString('latin1');
  const raw = reader.bytes(reader.varint(MESSAGE_BYTES_MAX)).toString('utf8');
  const facts = reader.left > 0 && WITH_FACTS.includes(code) ? decodeFacts(reader) : {};
  reader.expectEnd();
  // It goes to a terminal or a log: control characters must not.
  const message = raw.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
  return new DiffKeeperError(isOurs(code) ? code : 'DK_REMOTE', `the other side says: ${message}`, {
    name: code,
    ...facts,
  });
}

/** Any failure of a session as one of ours. */
export function asSessionError(reason: unknown): DiffKeeperError {
  if (isDiffKeeperError(reason)) return reason;
  const message = reason instanceof Error ? reason.message : String(reason);
  return new DiffKeeperError('DK_CONNECTION', `the connection failed: ${message}`, {}, reason);
}

/** What is asked of a session that is over. */
export function notOpen(): DiffKeeperError {
  return new DiffKeeperError('DK_CONNECTION', 'the session was closed');
}
