/** Messages about checkpoints and their versions. */
import { ByteWriter, type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '../format/format.js';
import { bad, type Identity, ITEMS_MAX, reader, TEXT_BYTES_MAX } from './protocol.js';

function writeIdentity(writer: ByteWriter, { sequence, timeMs, root }: Identity): void {
  writer.varint(sequence).f64(timeMs).bytes(root);
}

function readIdentity(from: ReturnType<typeof reader>): Identity {
  return { sequence: from.varint(), timeMs: from.f64(), root: Buffer.from(from.bytes(32)) };
}

/** What the giver knows of a checkpoint. */
export const STANDING = {
  kept: 0,
  /** Dropped by a prune, or never there: its history has a gap at this place. */
  dropped: 1,
  /** Another one stands under this sequence. */
  other: 2,
  /** Newer than all that the giver has. */
  ahead: 3,
} as const;
export type Standing = (typeof STANDING)[keyof typeof STANDING];

export function encodeIdentities(identities: readonly Identity[]): Buffer {
  const writer = new ByteWriter(64 + identities.length * 48).varint(identities.length);
  for (const identity of identities) writeIdentity(writer, identity);
  return writer.finish();
}

export function decodeIdentities(bytes: Buffer): Identity[] {
  const from = reader(bytes, 'checkpoints');
  const count = from.varint(ITEMS_MAX);
  const identities: Identity[] = [];
  for (let index = 0; index < count; index += 1) identities.push(readIdentity(from));
  from.expectEnd();
  return identities;
}

export function decodeStandings(bytes: Buffer, count: number): Standing[] {
  if (bytes.length !== count || bytes.some((value) => value > STANDING.ahead))
    throw bad('other answers than asked for');
  return [...bytes] as Standing[];
}

export interface HistoryPageItem {
  readonly checkpoint: Checkpoint;
  /** Bytes of its records of versions, one after the other. */
  readonly versionsBytes: number;
  /** The beginning of them; of all but the last item they are there as a whole. */
  readonly versions: Buffer;
}

/** Piece of a history. */
export interface HistoryPage {
  readonly standing: Standing;
  /** Prune mark of the giver: what is asked of this page names it. */
  readonly mark: number;
  readonly items: readonly HistoryPageItem[];
  readonly more: boolean;
}

/** Asks for what comes after `newest`; `trusted`: although the giver does not keep it. */
export function encodeHistoryQuestion(newest: Identity | null, trusted: boolean): Buffer {
  const writer = new ByteWriter(64).u8(newest ? 1 : 0).u8(trusted ? 1 : 0);
  if (newest) writeIdentity(writer, newest);
  return writer.finish();
}

export function decodeHistoryQuestion(bytes: Buffer): { readonly newest: Identity | null; readonly trusted: boolean } {
  const from = reader(bytes, 'question for the history');
  const known = from.flags(1) === 1;
  const trusted = from.flags(1) === 1;
  const newest = known ? readIdentity(from) : null;
  from.expectEnd();
  return { newest, trusted };
}

const NO_DIGEST = Buffer.alloc(32);

export function encodeHistoryPage({ standing, mark, items, more }: HistoryPage): Buffer {
  const writer = new ByteWriter(4096)
    .u8(standing)
    .varint(mark)
    .u8(more ? 1 : 0)
    .varint(items.length);
  for (const { checkpoint, versionsBytes, versions } of items) {
    const encoded = encodeCheckpoint({ checkpoint, previous: NO_DIGEST, parts: [] });
    writer.varint(encoded.length).bytes(encoded).varint(versionsBytes).varint(versions.length).bytes(versions);
  }
  return writer.finish();
}

/** @throws DK_PROTOCOL, DK_CORRUPT_RECORD */
export function decodeHistoryPage(bytes: Buffer): HistoryPage {
  const from = reader(bytes, 'history');
  const [standing] = decodeStandings(Buffer.of(from.u8()), 1) as [Standing];
  const mark = from.varint();
  const more = from.flags(1) === 1;
  const count = from.varint(ITEMS_MAX);
  const items: HistoryPageItem[] = [];
  let before = 0;
  for (let index = 0; index < count; index += 1) {
    const { checkpoint } = decodeCheckpoint(Buffer.from(from.bytes(from.varint(TEXT_BYTES_MAX))));
    const versionsBytes = from.varint();
    const versions = Buffer.from(from.bytes(from.varint(versionsBytes)));
    if (checkpoint.sequence <= before) throw bad('checkpoints in no order');
    if (versions.length < versionsBytes && index < count - 1) throw bad('a history with a gap');
    before = checkpoint.sequence;
    items.push({ checkpoint, versionsBytes, versions });
  }
  from.expectEnd();
  return { standing, mark, items, more };
}

export interface VersionsQuestion {
  readonly mark: number;
  readonly sequence: number;
  readonly offset: number;
}

export function encodeVersionsQuestion({ mark, sequence, offset }: VersionsQuestion): Buffer {
  return new ByteWriter(32).varint(mark).varint(sequence).varint(offset).finish();
}

export function decodeVersionsQuestion(bytes: Buffer): VersionsQuestion {
  const from = reader(bytes, 'question for versions');
  const question = { mark: from.varint(), sequence: from.varint(), offset: from.varint() };
  from.expectEnd();
  return question;
}
