/**
 * Headers of a tar archive in the POSIX (pax) form. Names are written as their bytes, whatever they are: programs that
 * read pax archives take them as such. Written by hand since the libraries at hand make text of names.
 *
 *   entry := [pax header: records that the plain header cannot hold], plain header, content, padding to 512
 */

const BLOCK = 512;
/** Largest number of eight octal digits; larger ones go into a pax record. */
const OCTAL_8_MAX = 0o7777777;
const OCTAL_12_MAX = 0o77777777777;

export const TAR_TYPE = { file: '0', link: '1', symlink: '2', directory: '5' } as const;

export interface TarEntry {
  /** Name and link target: bytes as one-byte strings. */
  readonly name: string;
  readonly type: (typeof TAR_TYPE)[keyof typeof TAR_TYPE];
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Extended attributes: name, value. */
  readonly xattrs: readonly (readonly [string, Buffer])[];
}

/** Zeros that fill the last block of this many bytes. */
export function tarPadding(bytes: number): Buffer {
  return Buffer.alloc((BLOCK - (bytes % BLOCK)) % BLOCK);
}

/** End of an archive. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

/** Everything of an entry but its content. */
export function encodeTarEntry(entry: TarEntry): Buffer {
  const records: Buffer[] = [];
  const { name, linkName, uid, gid, size } = entry;
  if (!fitsName(name)) records.push(paxRecord('path', latin1(name)));
  if (!fitsName(linkName)) records.push(paxRecord('linkpath', latin1(linkName)));
  if (size > OCTAL_12_MAX) records.push(paxRecord('size', latin1(String(size))));
  if (uid > OCTAL_8_MAX) records.push(paxRecord('uid', latin1(String(uid))));
  if (gid > OCTAL_8_MAX) records.push(paxRecord('gid', latin1(String(gid))));
  records.push(paxRecord('mtime', latin1(paxTime(entry.mtimeNs))));
  for (const [name, value] of entry.xattrs) records.push(paxRecord(`SCHILY.xattr.${attributeKey(name)}`, value));
  const pax = Buffer.concat(records);
  const plain = header(entry, entry.type, size);
  const extended = header({ ...entry, name: `PaxHeaders/${name.slice(-60)}`, linkName: '' }, 'x', pax.length);
  return Buffer.concat([extended, pax, tarPadding(pax.length), plain]);
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function fitsName(name: string): boolean {
  return name.length <= 100 && /^[\x01-\x7f]*$/.test(name);
}

/** A key ends at its first `=`, so that one in a name would make another name of it; written as GNU tar does. */
function attributeKey(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('=', '%3D');
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits. */
function paxRecord(key: string, value: Buffer): Buffer {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length > String(rest).length) length = rest + String(length).length;
  return Buffer.concat([latin1(`${length} ${key}=`), value, latin1('\n')]);
}

/** Seconds with nine decimals; also before 1970. */
function paxTime(timeNs: bigint): string {
  const sign = timeNs < 0n ? '-' : '';
  const digits = (timeNs < 0n ? -timeNs : timeNs).toString().padStart(10, '0');
  return `${sign}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

function header(entry: TarEntry, type: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number, max: number): void => {
    const number = value > max || value < 0 ? 0 : value;
    block.write(number.toString(8).padStart(digits, '0'), at, 'latin1');
  };
  block.write(entry.name.slice(0, 100), 0, 'latin1');
  octal(entry.mode & 0o7777, 100, 7, OCTAL_8_MAX);
  octal(entry.uid, 108, 7, OCTAL_8_MAX);
  octal(entry.gid, 116, 7, OCTAL_8_MAX);
  octal(size, 124, 11, OCTAL_12_MAX);
  octal(Number(entry.mtimeNs / 1_000_000_000n), 136, 11, OCTAL_12_MAX);
  block.write(type, 156, 'latin1');
  block.write(entry.linkName.slice(0, 100), 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\x00 `, 148, 'latin1');
  return block;
}
