/** Files that run as somebody else than who starts them: a store that was tampered with must not make one in passing. */
import { ByteReader, ByteWriter } from './bytes.js';
import { VERSION_TYPE, type Version } from './types.js';

const SET_ID_BITS = 0o6000;
/** Holds what `setcap` gives to a program. */
const CAPABILITIES = 'security.capability';

/** The same version without setuid, setgid and file capabilities; the version itself when it has none, or is no file. */
export function withoutLentIdentity(version: Version): Version {
  if (version.type !== VERSION_TYPE.file) return version;
  const xattrs = withoutCapabilities(version.xattrs);
  if ((version.mode & SET_ID_BITS) === 0 && xattrs === version.xattrs) return version;
  return { ...version, mode: version.mode & ~SET_ID_BITS, xattrs };
}

/** The list without that attribute; the same buffer when it does not have it, or is damaged. */
function withoutCapabilities(list: Buffer): Buffer {
  if (!list.includes(CAPABILITIES, 0, 'latin1')) return list;
  try {
    const reader = new ByteReader(list, 'DK_CORRUPT_RECORD', 'attributes');
    const writer = new ByteWriter(list.length);
    while (reader.left > 0) {
      const name = reader.bytes(reader.varint(reader.left));
      const value = reader.bytes(reader.varint(reader.left));
      if (name.toString('latin1') === CAPABILITIES) continue;
      writer.varint(name.length).bytes(name).varint(value.length).bytes(value);
    }
    return writer.length === list.length ? list : writer.finish();
  } catch {
    // What cannot be read cannot be set either: none of it is.
    return Buffer.alloc(0);
  }
}
