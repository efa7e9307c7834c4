/**
 * A second reader of state messages, written from `docs/format-state.md` and the texts it names alone: nothing of src/ is used,
 * and digests, checksums and zstd come from other libraries than the native engine's. Plain and slow on purpose.
 */
import { blake3 } from '@noble/hashes/blake3.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { xxhash3, xxhash128 } from 'hash-wasm';
import { initOnce, unpack } from '../format/second-zstd.js';
import { alignTarget } from './second-align.js';
import { Cursor } from './second-cursor.js';
import { sparseTarget, stretched, tensorTarget } from './second-sparse.js';

const NO_BYTES = Buffer.alloc(0);

export interface SecondState {
  readonly version: number;
  readonly key: string;
  readonly keyClass: string;
  readonly plain: boolean;
  readonly timeMs: number;
  readonly baselineId: number | undefined;
  readonly sourceId: number | undefined;
  readonly engines: readonly number[];
  readonly dictionaries: readonly number[];
  readonly digest: string;
  readonly bytes: Buffer;
}

interface Head {
  readonly kind: number;
  readonly key: string;
  readonly keyClass: string;
  readonly plain: boolean;
  readonly timeMs: number;
  readonly baselineId: number | undefined;
  readonly source: { readonly id: number; readonly digest: Buffer } | undefined;
  readonly segmentBytes: number;
  readonly stateBytes: number | undefined;
  readonly many: boolean;
}

interface Segment {
  readonly engine: number;
  readonly targetBytes: number;
  readonly sourceOffset: number;
  readonly sourceBytes: number;
  readonly dictionaryId: number;
  readonly digest: Buffer | undefined;
  readonly payload: Buffer;
}

interface Message {
  readonly version: number;
  readonly head: Head;
  readonly segments: readonly Segment[];
  readonly dictionaries: readonly { readonly id: number; readonly bytes: Buffer }[];
  readonly stateBytes: number;
  readonly digest: Buffer;
}

/** XXH3-64 of pieces, each seeded with the value before. */
async function chained(pieces: readonly Buffer[]): Promise<bigint> {
  let value = 0n;
  for (const piece of pieces) {
    value = BigInt(`0x${await xxhash3(piece, Number(value & 0xffffffffn), Number(value >> 32n))}`);
  }
  return value;
}

async function wide(bytes: Buffer): Promise<Buffer> {
  return Buffer.from(await xxhash128(bytes), 'hex');
}

function count64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

async function digestOf(kind: number, bytes: Buffer): Promise<Buffer> {
  if (kind === 0) return Buffer.from(blake3(bytes));
  if (kind === 1) return Buffer.from(sha256(bytes));
  const groups: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 65536) groups.push(await wide(bytes.subarray(at, at + 65536)));
  return wide(Buffer.concat([Buffer.from('DKXXH3L1'), count64(bytes.length), ...groups]));
}

async function rootOf(kind: number, digests: readonly Buffer[]): Promise<Buffer> {
  if (digests.length === 1) return digests[0] as Buffer;
  if (kind === 2) return wide(Buffer.concat([Buffer.from('DKXXH3S1'), count64(digests.length), ...digests]));
  let split = 1;
  while (split * 2 < digests.length) split *= 2;
  const halves = [await rootOf(kind, digests.slice(0, split)), await rootOf(kind, digests.slice(split))];
  return digestOf(kind, Buffer.concat([Buffer.of(1), ...halves]));
}

/** The key without its parts between dashes that hold a digit. */
function classOf(key: string): string {
  const kept = key.split('-').filter((part) => !/[0-9]/.test(part));
  return kept.join('-') || 'unknown';
}

const digestLength = (kind: number): number => (kind === 2 ? 16 : 32);

function headOf(body: Cursor, version: number): Head {
  const flags = body.u8();
  const kind = body.u8();
  if (flags > (version === 1 ? 31 : 63) || kind > (version === 1 ? 1 : 2)) throw new Error('flags or kind');
  const key = body.text();
  const keyClass = body.text();
  const timeMs = body.varint();
  const baselineId = flags & 2 ? body.varint() : undefined;
  const source =
    flags & 1 ? { id: body.varint(), digest: body.take(version === 2 && !(flags & 32) ? 16 : 32) } : undefined;
  const log = body.u8();
  if (log < 16 || log > 30) throw new Error('length of segments');
  const segmentBytes = 2 ** log;
  const stateBytes = flags & 4 ? body.varint() : undefined;
  body.end();
  const many = (flags & 16) !== 0;
  if (many !== (stateBytes === undefined || stateBytes > segmentBytes)) throw new Error('flag 16');
  return { kind, key, keyClass, plain: (flags & 8) !== 0, timeMs, baselineId, source, segmentBytes, stateBytes, many };
}

function segmentOf(header: Cursor, { source, many, kind }: Head, body: Cursor): Segment {
  const engine = header.u8();
  const targetBytes = header.varint();
  const sourceOffset = source ? header.varint() : 0;
  const sourceBytes = source ? header.varint() : 0;
  const dictionaryId = header.varint();
  const digest = many ? header.take(digestLength(kind)) : undefined;
  const payload = body.take(header.varint());
  header.end();
  return { engine, targetBytes, sourceOffset, sourceBytes, dictionaryId, digest, payload };
}

/** Versions 1 and 2. @param cursor behind the head */
async function partsOf(cursor: Cursor, version: number, head: Head): Promise<Message> {
  const { bytes } = cursor;
  const checked = [bytes.subarray(0, cursor.at)];
  const segments: Segment[] = [];
  const dictionaries: { id: number; bytes: Buffer }[] = [];
  for (;;) {
    const from = cursor.at;
    const tag = cursor.u8();
    const header = new Cursor(cursor.take(cursor.varint()));
    const headed = bytes.subarray(from, cursor.at);
    if (tag === 3) {
      const stateBytes = header.varint();
      const digest = header.take(digestLength(head.kind));
      const check = header.take(8).readBigUInt64LE();
      header.end();
      cursor.end();
      if (check !== (await chained([...checked, headed.subarray(0, -8)]))) throw new Error('the check');
      return { version, head, segments, dictionaries, stateBytes, digest };
    }
    checked.push(headed);
    const payloadFrom = cursor.at;
    if (tag === 1) segments.push(segmentOf(header, head, cursor));
    else if (tag === 2) {
      const id = header.varint();
      dictionaries.push({ id, bytes: cursor.take(header.varint()) });
      header.end();
    } else throw new Error(`a part ${tag}`);
    if (cursor.at > payloadFrom) checked.push(bytes.subarray(payloadFrom, cursor.at));
  }
}

/** Version 3. @param cursor behind the head, whose body is `body` */
async function shortOf(cursor: Cursor, body: Cursor): Promise<Message> {
  const checked = [cursor.bytes.subarray(0, cursor.at)];
  const flags = body.u8();
  const form = body.u8();
  const engine = body.u8();
  const kind = form % 4;
  const segmentBytes = 2 ** (16 + (form >> 2));
  if (flags > 127 || kind > 2 || segmentBytes > 2 ** 30) throw new Error('flags or form');
  const key = body.text();
  const keyClass = flags & 4 ? body.text() : classOf(key);
  const timeMs = body.varint();
  const id = (): number => Math.floor(timeMs / 1000) + body.zigzag();
  const baselineId = flags & 2 ? id() : undefined;
  const source = flags & 1 ? { id: id(), digest: body.take(flags & 64 ? 32 : 16) } : undefined;
  const stateBytes = body.varint();
  const [sourceOffset, sourceBytes] =
    flags & 32 ? [body.varint(), body.varint()] : [0, source === undefined ? 0 : stateBytes];
  const dictionaryId = flags & 16 ? body.varint() : 0;
  const payload = cursor.take(body.varint());
  body.end();
  const digest = cursor.take(digestLength(kind));
  const check = cursor.take(8).readBigUInt64LE();
  cursor.end();
  if (check !== (await chained([...checked, payload, digest].filter(({ length }) => length > 0)))) {
    throw new Error('the check');
  }
  const plain = (flags & 8) !== 0;
  const head = { kind, key, keyClass, plain, timeMs, baselineId, source, segmentBytes, stateBytes, many: false };
  const segment = { engine, targetBytes: stateBytes, sourceOffset, sourceBytes, dictionaryId, digest: undefined };
  return { version: 3, head, segments: [{ ...segment, payload }], dictionaries: [], stateBytes, digest };
}

function repeated(payload: Buffer, targetBytes: number): Buffer {
  const cursor = new Cursor(payload);
  const first = cursor.varint();
  const period = Math.floor(first / 2);
  const stretch = first % 2 === 1 ? unpack(cursor.rest(), NO_BYTES) : cursor.rest();
  if (stretch.length !== period || period < 1 || period > 4096 || period > targetBytes) throw new Error('the stretch');
  return Buffer.alloc(targetBytes, stretch);
}

function xored(source: Buffer, payload: Buffer, targetBytes: number): Buffer {
  const target = stretched(source, targetBytes);
  const cursor = new Cursor(unpack(payload, NO_BYTES));
  const runs = Array.from({ length: cursor.varint() }, () => ({ skip: cursor.varint(), length: cursor.varint() }));
  let at = 0;
  for (const { skip, length } of runs) {
    at += skip;
    for (const byte of cursor.take(length)) {
      target.writeUInt8(target.readUInt8(at) ^ byte, at);
      at += 1;
    }
  }
  cursor.end();
  return target;
}

function twice(payload: Buffer): Buffer {
  const cursor = new Cursor(payload);
  const inner = cursor.varint();
  const frame = unpack(cursor.rest(), NO_BYTES);
  if (frame.length !== inner) throw new Error('the inner frame');
  return unpack(frame, NO_BYTES);
}

interface Job {
  readonly source: Buffer;
  readonly payload: Buffer;
  readonly targetBytes: number;
  readonly dictionary: Buffer;
}

function targetOf(engine: number, job: Job): Buffer {
  const { source, payload, targetBytes, dictionary } = job;
  if (engine === 0) return payload;
  if (engine === 1) return unpack(payload, dictionary);
  if (engine === 2) return unpack(payload, source);
  if (engine === 3) return xored(source, payload, targetBytes);
  if (engine === 4) return alignTarget(source, payload, targetBytes);
  if (engine === 5) return tensorTarget(source, payload, targetBytes);
  if (engine === 6) return sparseTarget(source, payload, targetBytes);
  if (engine === 7) return pagesTarget(job);
  if (engine === 8) return twice(payload);
  if (engine === 9) return repeated(payload, targetBytes);
  throw new Error(`an engine ${engine}`);
}

function pagesTarget({ source, payload, targetBytes }: Job): Buffer {
  const cursor = new Cursor(payload);
  const places: { readonly from: number; readonly to: number }[] = [];
  let page = 0;
  for (let ranges = cursor.varint(); ranges > 0; ranges -= 1) {
    page += cursor.varint();
    const from = page * 4096;
    page += cursor.varint();
    places.push({ from, to: Math.min(page * 4096, targetBytes) });
  }
  const engine = cursor.u8();
  const inner = Buffer.concat(places.map(({ from, to }) => source.subarray(from, to)));
  const innerBytes = places.reduce((sum, { from, to }) => sum + to - from, 0);
  const made = new Cursor(
    targetOf(engine, { source: inner, payload: cursor.rest(), targetBytes: innerBytes, dictionary: NO_BYTES }),
  );
  const target = stretched(source, targetBytes);
  for (const { from, to } of places) made.take(to - from).copy(target, from);
  made.end();
  return target;
}

/** What it keeps are the two states of a key that came last, and dictionaries. */
export class SecondReader {
  readonly #baselines = new Map<string, { readonly id: number; readonly digest: Buffer; readonly bytes: Buffer }[]>();
  readonly #dictionaries = new Map<string, Buffer>();

  static async open(): Promise<SecondReader> {
    await initOnce();
    return new SecondReader();
  }

  async read(message: Buffer): Promise<SecondState> {
    const cursor = new Cursor(message);
    if (cursor.take(4).toString('latin1') !== 'DKS1') throw new Error('the magic');
    const version = cursor.u8();
    if (version < 1 || version > 3) throw new Error('the version');
    const body = new Cursor(cursor.take(cursor.varint()));
    const taken = version === 3 ? shortOf(cursor, body) : partsOf(cursor, version, headOf(body, version));
    return this.#state(await taken);
  }

  async #state({ version, head, segments, dictionaries, stateBytes, digest }: Message): Promise<SecondState> {
    const { key, keyClass, kind, source } = head;
    for (const { id, bytes } of dictionaries) this.#dictionaries.set(`${id} ${keyClass}`, bytes);
    const kept = this.#baselines.get(key) ?? [];
    const baseline = source && kept.find((one) => one.digest.equals(source.digest));
    if (source && baseline === undefined) throw new Error(`the baseline of ${key} is not here`);
    const made: Buffer[] = [];
    const digests: Buffer[] = [];
    for (const [index, segment] of segments.entries()) {
      const bytes = this.#segment(segment, keyClass, baseline?.bytes ?? NO_BYTES);
      const own = await digestOf(kind, bytes);
      if (bytes.length !== segment.targetBytes) throw new Error('target bytes');
      if (index < segments.length - 1 && bytes.length !== head.segmentBytes) throw new Error('a short segment');
      if (head.many !== (segment.digest?.equals(own) ?? false)) throw new Error('the digest of a segment');
      made.push(bytes);
      digests.push(own);
    }
    const bytes = Buffer.concat(made);
    if (bytes.length !== stateBytes || stateBytes !== (head.stateBytes ?? stateBytes)) throw new Error('state bytes');
    if (!(await rootOf(kind, digests)).equals(digest)) throw new Error('the digest of the state');
    const { baselineId: id } = head;
    if (id !== undefined) {
      const others = kept.filter((one) => one.id !== id);
      this.#baselines.set(key, [{ id, digest: Buffer.from(digest), bytes }, ...others].slice(0, 2));
    }
    const { plain, timeMs, baselineId } = head;
    return {
      ...{ version, key, keyClass, plain, timeMs, baselineId, sourceId: source?.id },
      engines: segments.map(({ engine }) => engine),
      dictionaries: segments.map(({ dictionaryId }) => dictionaryId).filter((one) => one !== 0),
      digest: digest.toString('hex'),
      bytes,
    };
  }

  #segment(segment: Segment, keyClass: string, source: Buffer): Buffer {
    const { engine, sourceOffset, sourceBytes, dictionaryId, payload, targetBytes } = segment;
    if (sourceOffset + sourceBytes > source.length) throw new Error('a range leaves the source');
    const dictionary = dictionaryId === 0 ? NO_BYTES : this.#dictionaries.get(`${dictionaryId} ${keyClass}`);
    if (dictionary === undefined) throw new Error(`dictionary ${dictionaryId} is not here`);
    const range = source.subarray(sourceOffset, sourceOffset + sourceBytes);
    return targetOf(engine, { source: range, payload, targetBytes, dictionary });
  }
}
