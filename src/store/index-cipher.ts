/**
 * The metadata of an encrypted store. Values are sealed, and names and digests in keys are replaced by keyed digests:
 *
 *   `b` digest                            -> `b` token[32]; `m` likewise
 *   `h` parent 0x00 name                  -> `h` tokens(parent) 0x00 token[16]; `l` likewise
 *   `v` parent 0x00 name 0x00 sequence    -> `v` tokens(parent) 0x00 token[16] 0x00 sequence
 *   `d` directory                         -> `d` tokens(directory)
 *   tokens(a/b/c) := token(a) `/` token(a/b) `/` token(a/b/c)
 *   value         -> sealed (u16 key bytes, key, value), bound to the key as it stands there
 *
 * Separators stay, so that the children of a directory are still one range of keys. Their order is another one: who
 * needs the order of names has to sort. And tokens may begin with a byte that separates: what is asked for by a key
 * that ends before a token (the root directory's own versions, or its children) may find others in between, so that
 * who reads a range has to look at the key in each value. Keys `c` and `s` hold nothing but numbers and stay as they
 * are.
 */

import { type BytePath, pathBytes, pathJoin, pathParent } from '../core/core.js';
import type { Namer, Sealer } from '../crypt/crypt.js';
import { KEY_LETTER, type KeyRange, prefixRange } from './meta-keys.js';

const TOKEN_BYTES = 16;
/** Directories whose tokens are remembered. */
const REMEMBERED_MAX = 20_000;
const SLASH = Buffer.from('/', 'latin1');
const ZERO = Buffer.of(0);

export class IndexCipher {
  readonly #names: Pick<Namer, 'name'>;
  readonly #sealer: Sealer;
  #directories = new Map<BytePath, Buffer>();

  constructor(keys: { readonly names: Pick<Namer, 'name'>; readonly index: Sealer }) {
    this.#names = keys.names;
    this.#sealer = keys.index;
  }

  /** A key, or the beginning of one, as it stands in the database. */
  key(key: Buffer): Buffer {
    const letter = key.subarray(0, 1);
    if (isPlain(key) || key.length === 1) return key;
    if (key[0] === KEY_LETTER.blob || key[0] === KEY_LETTER.lostBlob)
      return Buffer.concat([letter, this.#names.name(key)]);
    const text = key.toString('latin1', 1);
    const first = text.indexOf('\0');
    const parent = first < 0 ? text : text.slice(0, first);
    const pieces = [letter, parent.endsWith('/') ? this.#tokens(parent.slice(0, -1)) : this.#tokens(parent)];
    if (parent.endsWith('/')) pieces.push(SLASH);
    if (first < 0) return Buffer.concat(pieces);
    const second = key[0] === KEY_LETTER.version ? text.indexOf('\0', first + 1) : -1;
    const name = text.slice(first + 1, second < 0 ? undefined : second);
    pieces.push(ZERO);
    if (name !== '') pieces.push(this.#token(pathJoin(parent, name)));
    if (second >= 0) pieces.push(key.subarray(1 + second));
    return Buffer.concat(pieces);
  }

  /** The range of the same entries; `range` is one of `prefixRange`, or of keys that stay as they are. */
  range(range: KeyRange): KeyRange {
    return isPlain(range.gte) ? range : prefixRange(this.key(range.gte));
  }

  /** Whether the keys of a range stand in the database as we know them. */
  keepsKeys({ gte }: KeyRange): boolean {
    return isPlain(gte);
  }

  /** Whether the entries of a range whose keys do not stay come in the order of the keys that we know. */
  keepsOrder({ gte }: KeyRange): boolean {
    const first = gte.indexOf(0);
    return gte[0] === KEY_LETTER.version && first >= 0 && gte.indexOf(0, first + 1) >= 0;
  }

  #token(path: BytePath): Buffer {
    return this.#names.name(Buffer.concat([ZERO, pathBytes(path)])).subarray(0, TOKEN_BYTES);
  }

  #tokens(directory: BytePath): Buffer {
    if (directory === '') return Buffer.alloc(0);
    const known = this.#directories.get(directory);
    if (known) return known;
    const parent = pathParent(directory);
    const own = this.#token(directory);
    const tokens = parent === '' ? own : Buffer.concat([this.#tokens(parent), SLASH, own]);
    if (this.#directories.size >= REMEMBERED_MAX) this.#directories = new Map();
    this.#directories.set(directory, tokens);
    return tokens;
  }

  /** @param stored the key as it stands in the database */
  seal(stored: Buffer, key: Buffer, value: Buffer): Buffer {
    const plain = Buffer.allocUnsafe(2 + key.length + value.length);
    plain.writeUInt16LE(key.length);
    plain.set(key, 2);
    plain.set(value, 2 + key.length);
    return this.#sealer.seal(plain, stored);
  }

  /** Key and value as they are known to us; null when this value was not written under this key. */
  open(stored: Buffer, sealed: Uint8Array): [Buffer, Buffer] | null {
    const plain = this.#sealer.open(sealed, stored);
    if (!plain || plain.length < 2) return null;
    const end = 2 + plain.readUInt16LE();
    return end <= plain.length ? [plain.subarray(2, end), plain.subarray(end)] : null;
  }
}

function isPlain(key: Buffer): boolean {
  return key[0] === KEY_LETTER.checkpoint || key[0] === KEY_LETTER.single;
}
