/** Section 12 of `docs/format.md`, by the second reader: the plain pack that a dense one stands for. */

interface Ways {
  readonly hash: (bytes: Uint8Array) => Buffer;
  readonly xxh3: (bytes: Buffer) => bigint;
  readonly unpack: (frame: Buffer) => Buffer;
}

interface Row {
  readonly kind: number;
  readonly form: number;
  readonly bodyBytes: number;
  readonly cuts: readonly { readonly skip: number; readonly back: number }[];
  body: Buffer;
}

/** The whole plain pack, header included. */
export function plainPack(dense: Buffer, ways: Ways): Buffer {
  const parts = [dense.subarray(0, 64)];
  const listed: Buffer[] = [];
  let at = 64;
  let offset = 64;
  while (dense.toString('latin1', at, at + 4) === 'DKG2') {
    const frameBytes = dense.readUInt32LE(at + 4);
    const end = at + 40 + frameBytes;
    if (dense.readBigUInt64LE(at + 32) !== ways.xxh3(atHome(dense, at, dense.subarray(at, at + 32)))) {
      throw new Error('head checksum');
    }
    if (dense.readBigUInt64LE(end) !== ways.xxh3(dense.subarray(at, end))) throw new Error('group checksum');
    if (Number(dense.readBigUInt64LE(at + 16)) !== offset) throw new Error('a group does not go on');
    const folded = ways.unpack(dense.subarray(at + 40, end));
    if (folded.length !== dense.readUInt32LE(at + 8)) throw new Error('folded bytes');
    const plain = unfold(folded, dense.readUInt32LE(at + 12), ways);
    if (plain.length !== Number(dense.readBigUInt64LE(at + 24))) throw new Error('bytes of a group');
    const row = Buffer.alloc(24);
    row.writeBigUInt64LE(BigInt(at));
    row.writeBigUInt64LE(BigInt(offset), 8);
    row.writeUInt32LE(end + 8 - at, 16);
    row.writeUInt32LE(plain.length, 20);
    listed.push(row);
    parts.push(plain);
    offset += plain.length;
    at = end + 8;
  }
  const end = Buffer.alloc(8);
  end.writeUInt32LE(listed.length);
  end.write('DKL1', 4, 'latin1');
  const list = Buffer.concat([...listed, end]);
  if (!dense.subarray(at, dense.length - 8).equals(list)) throw new Error('the list says something else');
  if (dense.readBigUInt64LE(dense.length - 8) !== ways.xxh3(atHome(dense, at, list))) throw new Error('list checksum');
  return Buffer.concat(parts);
}

/** Id of the store and number of the pack out of the header, and a place, before bytes. */
function atHome(dense: Buffer, place: number, bytes: Buffer): Buffer {
  const where = Buffer.alloc(8);
  where.writeBigUInt64LE(BigInt(place));
  return Buffer.concat([dense.subarray(16, 32), dense.subarray(8, 12), where, bytes]);
}

function unfold(folded: Buffer, records: number, { hash, xxh3 }: Ways): Buffer {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = folded.readUInt8(at);
      at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const tableBytes = varint();
  const tableEnd = at + tableBytes;
  const rows: Row[] = [];
  for (let record = 0; record < records; record += 1) {
    const first = folded.readUInt8(at);
    at += 1;
    const bodyBytes = varint();
    const cuts = Array.from({ length: varint() }, () => ({ skip: varint(), back: varint() }));
    rows.push({ kind: first % 16, form: Math.floor(first / 16), bodyBytes, cuts, body: Buffer.alloc(bodyBytes) });
  }
  if (at !== tableEnd) throw new Error('the table ends elsewhere');
  const isRow = ({ form, kind, bodyBytes }: Row) => form === 0 && kind >= 3 && bodyBytes <= 4096;
  for (const members of classesOf(rows.filter(isRow))) {
    for (let column = 0; column < (members[0]?.bodyBytes ?? 0); column += 1) {
      let before = 0;
      for (const { body } of members) {
        before = (before + folded.readUInt8(at)) % 256;
        body[column] = before;
        at += 1;
      }
    }
  }
  for (const row of rows) {
    if (isRow(row)) continue;
    row.body = folded.subarray(at, at + row.bodyBytes);
    at += row.bodyBytes;
  }
  if (at !== folded.length) throw new Error('bodies and rows do not fill their place');
  const digests: Buffer[] = [];
  return Buffer.concat(
    rows.map((row, index) => {
      const matter = withDigests(row, digests);
      digests.push(row.form === 0 ? hash(matter) : Buffer.from(matter.subarray(20, 52)));
      const record = row.form === 0 ? Buffer.concat([headOf(row, matter, digests[index] as Buffer), matter]) : matter;
      const check = Buffer.alloc(8);
      check.writeBigUInt64LE(xxh3(record));
      return Buffer.concat([record, check]);
    }),
  );
}

function classesOf(rows: readonly Row[]): Row[][] {
  const classes = new Map<string, Row[]>();
  for (const row of rows) {
    const kin = rows.filter(({ kind, bodyBytes }) => kind === row.kind && bodyBytes === row.bodyBytes);
    const name = `${row.kind} ${row.bodyBytes} ${Math.floor(kin.indexOf(row) / 64)}`;
    classes.set(name, [...(classes.get(name) ?? []), row]);
  }
  return [...classes.values()];
}

function withDigests({ body, cuts }: Row, digests: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const { skip, back } of cuts) {
    parts.push(body.subarray(at, at + skip), digests[digests.length - back] as Buffer);
    at += skip;
  }
  return Buffer.concat([...parts, body.subarray(at)]);
}

/** Section 4, for a record that is stored as it is. */
function headOf({ kind }: Row, payload: Buffer, digest: Buffer): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt32LE(0x31524b44);
  head[4] = kind;
  head.writeUInt32LE(payload.length, 12);
  head.writeUInt32LE(payload.length, 16);
  return Buffer.concat([head, digest]);
}
