/**
 * Bytes of any kind against the transport's decoders: the reader of frames, and those of the bodies of all messages. What comes
 * out is right, or DK_PROTOCOL; nothing else may be thrown.
 *
 *   npm run fuzz:frames [-- --seconds=60 --seed=1]
 *
 * Prints a line of JSON in the end. Exit code 1 at the first finding, whose seed and bytes are printed. Needs `npm run build`.
 */
import { parseArgs } from 'node:util';
import { seeded } from '../demo/seeded.mjs';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string', default: '1' } },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed);
if (!(seconds > 0) || !Number.isInteger(seed)) throw new RangeError('--seconds must be above 0, --seed a whole number');

/** @param {string} name */
const built = (name) => import(new URL(`../dist/esm/${name}.js`, import.meta.url).href);
const [{ isDiffKeeperError }, { loadEngine }, frames, { FramePool }, { FrameReader }, { BlobDigests }] =
  await Promise.all(
    [
      'core/core',
      'engine/load',
      'transport/frame',
      'transport/frame-pool',
      'transport/frame-reader',
      'transport/blob-digests',
    ].map(built),
  );
const [messages, greeting, wireError] = await Promise.all(
  ['transport/messages', 'transport/greeting', 'transport/wire-error'].map(built),
);

const engine = loadEngine();
const digests = new BlobDigests(engine, 0x0123456789abcdefn);
/** @param {Uint8Array} data */
const xxh3 = (data) => engine.xxh3(data);
const random = seeded(seed);
/** A whole number below `end`. @param {number} end */
const below = (end) =>
  end <= 2 ** 32 ? random(end) : Math.min(end - 1, random(Math.ceil(end / 2 ** 32)) * 2 ** 32 + random(2 ** 32));
/** @param {number} count */
const noise = (count) => Buffer.from(Array.from({ length: count }, () => below(256)));
const TYPES = Object.values(frames.FRAME);
const HEADER_BYTES = frames.FRAME_HEADER_BYTES;
const HASHED_BYTES = 40;

const OFFER = { service: 'fuzz', key: Buffer.from('k'), meta: Buffer.from('meta') };
/** Bodies that are right, to be changed. */
const BODIES = [
  messages.encodeHave([[0, 65_536]]),
  messages.encodeHave([
    [0, 65_536],
    [131_072, 196_608],
  ]),
  messages.encodeAcks([
    { id: 1, offset: 65_536 },
    { id: 300, offset: 2 ** 40 },
  ]),
  messages.encodeRequest('verb', Buffer.from('body')),
  messages.encodeNumber(17),
  messages.encodeNumber(2 ** 40),
  wireError.encodeError(new RangeError('no')),
  messages.encodeOffer({ ...OFFER, size: 2 ** 33 }).finish(),
  messages.encodeOffer({ ...OFFER, size: 100, digest: Buffer.alloc(32, 1) }).finish(),
  messages.encodeOffer({ ...OFFER, size: 100, digest: Buffer.alloc(16, 1), digestKind: 'xxh3' }).finish(),
  messages
    .encodeOffer({ ...OFFER, size: 4, digest: Buffer.alloc(32, 1) })
    .bytes(Buffer.from('abcd'))
    .finish(),
  Buffer.alloc(16, 3),
  greeting.encodeHello({ versionMin: 1, versionMax: greeting.VERSION_MAX, windowBytes: 4 << 20 }),
  greeting.encodeJoin({ sessionId: Buffer.alloc(16), number: 3, token: Buffer.alloc(16) }),
  ...[1, greeting.VERSION_MAX].map((version) =>
    greeting.encodeWelcome({
      version,
      windowBytes: 4 << 20,
      sessionId: Buffer.alloc(16),
      secret: Buffer.alloc(32),
      streamsMax: 4,
      rights: 'read',
      quickDigests: true,
    }),
  ),
];
/** @type {[string, (bytes: Buffer) => unknown][]} */
const DECODERS = [
  ['offer', messages.decodeOffer],
  ['blob', messages.decodeBlob],
  ['have', (bytes) => messages.decodeHave(bytes, 1 + below(1 << 22))],
  ['acks', messages.decodeAcks],
  ['request', messages.decodeRequest],
  ['digest', messages.decodeDigest],
  ['streams', messages.decodeStreams],
  ['error', wireError.decodeError],
  ['hello', greeting.decodeHello],
  ['welcome', greeting.decodeWelcome],
  ['join', greeting.decodeJoin],
];

/** @type {((bytes: Buffer, at: number) => Buffer)[]} */
const CHANGES = [
  (bytes, at) => {
    const other = Buffer.from(bytes);
    if (at < other.length) other[at] = /** @type {number} */ (other[at]) ^ (1 << below(8));
    return other;
  },
  (bytes, at) => {
    const other = Buffer.from(bytes);
    if (at < other.length) other[at] = /** @type {number} */ ([0, 1, 127, 128, 255][below(5)]);
    return other;
  },
  (bytes, at) => Buffer.concat([bytes.subarray(0, at), noise(below(9)), bytes.subarray(at)]),
  (bytes, at) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + below(9))]),
  (bytes, at) => Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + below(9), 255), bytes.subarray(at + below(9))]),
  (bytes, at) => bytes.subarray(0, at),
];

/** @param {Buffer} bytes */
function changed(bytes) {
  let result = bytes;
  for (let left = 1 + below(4); left > 0; left -= 1) {
    const change = /** @type {(typeof CHANGES)[number]} */ (CHANGES[below(CHANGES.length)]);
    result = change(result, below(result.length + 1));
  }
  return result;
}

const tally = { seed, seconds, bodies: 0, streams: 0, frames: 0, taken: 0, refused: 0 };

/** @param {string} what @param {unknown} error @param {Buffer} bytes @returns {never} */
function found(what, error, bytes) {
  console.error(`found with --seed=${seed}: ${what}`, error, bytes.subarray(0, 4096).toString('hex'));
  process.exit(1);
}

/** Runs it; whether it took the bytes. @param {string} what @param {Buffer} bytes @param {() => void} run */
function took(what, bytes, run) {
  try {
    run();
  } catch (error) {
    if (!isDiffKeeperError(error, 'DK_PROTOCOL')) found(what, error, bytes);
    tally.refused += 1;
    return false;
  }
  tally.taken += 1;
  return true;
}

function body() {
  const bytes = below(8) === 0 ? noise(below(200)) : changed(/** @type {Buffer} */ (BODIES[below(BODIES.length)]));
  const [name, decode] = /** @type {(typeof DECODERS)[number]} */ (DECODERS[below(DECODERS.length)]);
  tally.bodies += 1;
  took(name, bytes, () => decode(Buffer.from(bytes)));
}

/** @typedef {{ type: number, id: number, offset: number, payload: Buffer }} Plain */

/** @returns {Plain} */
function plain() {
  const type = /** @type {number} */ (TYPES[below(TYPES.length)]);
  const long = below(8) === 0 ? 200_000 : below(4) === 0 ? 20_000 : 300;
  const payload = Buffer.alloc(Math.min(below(long), frames.payloadLimit(type)), below(256));
  noise(Math.min(16, payload.length)).copy(payload);
  return { type, id: below(2 ** below(53)), offset: below(2 ** below(53)), payload };
}

/** @param {Plain} frame */
function encoded({ type, id, offset, payload }) {
  const grouped = type === frames.FRAME.data && payload.length > 0 && below(2) === 0;
  const values = grouped ? digests.groupValues(payload) : undefined;
  const check = values && { flags: frames.FLAG_GROUPS, hash: digests.check(values) };
  return Buffer.concat([frames.encodeHeader(xxh3, type, payload, { id, offset, ...check }), payload]);
}

/** A header of any kind whose own check is right, so that what lies behind the check is reached. @param {Buffer} bytes */
function otherHeader(bytes) {
  const header = Buffer.from(bytes.subarray(0, HEADER_BYTES));
  for (let left = 1 + below(3); left > 0; left -= 1) header[below(HASHED_BYTES)] = below(256);
  header.writeBigUInt64LE(xxh3(header.subarray(0, HASHED_BYTES)), HASHED_BYTES);
  return Buffer.concat([header, bytes.subarray(HEADER_BYTES)]);
}

/** @param {Buffer} bytes @param {Plain[]} got */
function readAll(bytes, got) {
  const reader = new FrameReader(xxh3, new FramePool(), frames.payloadLimit, (/** @type {any} */ frame) => {
    const { type, id, offset, payload, release } = frame;
    got.push({ type, id, offset, payload: Buffer.from(payload) });
    release();
  });
  reader.groupValues = (/** @type {Buffer} */ payload) => digests.groupValues(payload);
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + below(below(3) === 0 ? 70_000 : 60);
    reader.feed(bytes.subarray(at, end));
    at = end;
  }
}

/** @param {Plain[]} got @param {Plain[]} sent */
const areFirst = (got, sent) =>
  got.every((one, index) => {
    const other = sent[index];
    const same = other && one.type === other.type && one.id === other.id && one.offset === other.offset;
    return same && one.payload.equals(other.payload);
  });

function stream() {
  const sent = Array.from({ length: 1 + below(4) }, plain);
  const whole = Buffer.concat(sent.map(encoded));
  const kind = /** @type {'whole' | 'changed' | 'header' | 'noise'} */ (
    ['whole', 'changed', 'header', 'noise'][below(4)]
  );
  const bytes = {
    whole: () => whole,
    changed: () => changed(whole),
    header: () => otherHeader(whole),
    noise: () => noise(below(400)),
  }[kind]();
  /** @type {Plain[]} */
  const got = [];
  tally.streams += 1;
  const good = took(`a stream (${kind})`, bytes, () => readAll(bytes, got));
  tally.frames += got.length;
  const all = kind !== 'whole' || (good && got.length === sent.length);
  const same = (kind !== 'whole' && kind !== 'changed') || areFirst(got, sent);
  if (!all || !same) found('other frames than were sent', undefined, bytes);
}

const endMs = performance.now() + seconds * 1000;
while (performance.now() < endMs) {
  for (let turn = 0; turn < 100; turn += 1) body();
  for (let turn = 0; turn < 10; turn += 1) stream();
}
console.log(JSON.stringify(tally));
