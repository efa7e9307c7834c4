/** How the quick digest of bytes begins, in states and on the wire (docs/format-state.md, docs/format-transport.md). */
const MAGIC = Buffer.from('DKXXH3L1', 'latin1');

/** What stands before the values of the groups: 16 bytes. @param size of all the bytes */
export function quickListHead(size: number): Buffer {
  const head = Buffer.alloc(MAGIC.length + 8);
  MAGIC.copy(head);
  head.writeBigUInt64LE(BigInt(size), MAGIC.length);
  return head;
}
