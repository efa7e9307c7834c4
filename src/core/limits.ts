/**
 * Every bound of the product in one place, each with its reason. Values read
 * from bytes are checked against these before anything is allocated.
 */
export const LIMITS = {
  /** Decoded bytes of one blob: small enough to decode for a few pages, large enough to compress well. */
  blobBytes: 1 << 20,
  /** Coded bytes of one blob: raw plus room for a codec's worst case. */
  payloadBytes: (1 << 20) + 4096,
  /** Bytes of a record's context list. */
  contextListBytes: 1 << 18,
  /** Decoded bytes of the context one blob is coded against. */
  contextBytes: 8 << 20,
  /** Target bytes that one recipe covers: an untouched region is shared between versions. */
  regionBytes: 64 << 20,
  /** Scattered changes of one window share no blob with those of the next, so that reading one decodes one. */
  windowBytes: 16 << 20,
  /** Extents in one region's recipe: 4 KiB pages of 64 MiB, twice over. */
  regionExtents: 32768,
  /** Extents kept inline in a version record. */
  inlineExtents: 8,
  /** Master keys of an encrypted store, the first one and those of its rotations: the number is one byte of each record. */
  masterKeys: 256,
  /** A pack is closed at this length. */
  packBytes: 64 << 20,
  /** Bytes of a plain pack that one group of a dense pack stands for, about: to read any of them, those before it are decompressed. */
  denseGroupBytes: 4 << 20,
  /** The same for a group that the newest state needs blobs of. */
  denseUsedBytes: 256 << 10,
  /** A group may hold one record more than that. */
  denseGroupBytesMax: 8 << 20,
  /** Bytes of a pack from which on a watcher condenses it: the one that grows is left for that, and many short ones would be the end of it. */
  condensedPackBytesMin: 4 << 20,
  /** Groups of one dense pack. */
  denseGroups: 1 << 20,
  /** Groups of dense packs that are kept decompressed. */
  denseGroupsOpen: 3,
  /** Staged bytes that force a write to the pack before the commit. */
  stagedBytes: 2 << 20,
  /** Decoded bytes of one record of versions. */
  versionsRecordBytes: 1 << 16,
  /** Largest file that is taken whole, without a page table. */
  smallFileBytes: 256 << 10,
  /** Contents, the newest, among which one that resembles a new one is looked for: 6 MiB of memory, 3 MiB of files. */
  similarBlobs: 65_536,
  /** Page of the page scan. */
  pageBytes: 4096,
  /** Group of pages whose BLAKE3 chaining value is cached. */
  groupBytes: 65536,
  /** Bytes of blobs kept decoded. */
  blobCacheBytes: 16 << 20,
  /** Bytes of blobs kept decoded while captures code new bytes against them again and again. */
  contextCacheBytes: 64 << 20,
  /** Memory of large states that is kept to be used again while an encoder or a decoder of states is open. */
  spareMemoryBytes: 256 << 20,
  /** Bytes of states that one decoder makes at once, in memory of its own; a longer one is made alone. */
  decodedBytesAtOnce: 1 << 30,
  /** Bytes of a state that are hashed or copied on the event loop at a time; more are handed to another thread. */
  syncBytes: 256 << 10,
  /** Bytes of a state of which little changed that is coded and decoded on the event loop: parts of a millisecond. */
  syncStateBytes: 1 << 20,
  /** Such bytes in all between two turns of the event loop. */
  syncTurnBytes: 4 << 20,
  /** Bytes handled in one native batch. */
  batchBytes: 8 << 20,
  /** Files in one native batch. */
  batchFiles: 2048,
  /** Deepest chain a reader follows, whatever the store says: `--snapshot-interval` allows up to 64. */
  chainDepthMax: 64,
  /** Bytes of one path. */
  pathBytes: 4095,
  /** Bytes of a checkpoint's tag. */
  tagBytes: 1024,
  /** Entries left out of the captures that a session remembers by name, and so counts. */
  leftOutEntries: 16384,
  /** Bytes of all extended attributes of one entry. */
  xattrBytes: 65536,
  /** Largest file: recipes of regions must fit a version record. */
  fileBytes: 2 ** 44,
  /** Large files open at once for a freeze point: those mapped before it, those kept so since the last one, those being copied. */
  openScans: 64,
  /** Clones of very large files that a freeze point keeps open; what is over that is taken as any other file. */
  openClones: 256,
  /** Names marked by the watcher before it falls back to a full scan. */
  watchMarks: 4096,
  /** Payload of one frame of the transport: larger ones were no faster. */
  frameBytes: 1 << 20,
  /** A question or an answer on the control stream: it must not hold up what follows for long. */
  controlMessageBytes: 1 << 20,
  /** Frames on the control stream that the other side causes and does not read, each as at least 512 bytes: then it is not there. */
  controlQueueBytes: 16 << 20,
  /** What a connection may say before it is known: enough for a greeting. */
  greetingBytes: 4096,
  /** Sent and not yet taken over by the other side, for each direction of a session. */
  sessionWindowBytes: 64 << 20,
  /** Data streams of one session. */
  streams: 256,
  /** Transfers of one direction of a session that are open at once. */
  openTransfers: 1024,
  /** Questions of one side that are open at once. */
  openRequests: 256,
  /** Facts that travel with a blob, and the answer to it. */
  blobMetaBytes: 1 << 16,
  /** Name of a blob, for resuming. */
  blobKeyBytes: 255,
  /** Stretches that a receiver lists as here already: more are sent again. */
  haveRanges: 16384,
  /** Metadata that rebuilds have put aside because it may know more: newer ones take the place of older ones. */
  metaAside: 3,
  /** Reports of repairs that are kept. */
  repairReports: 8,
  /** Length of the list of what recovers could not bring back, after which another is begun; the one before is kept. */
  recoverLogBytes: 1 << 20,
} as const;
