/** JSON of the older system: metadata of files and lists of chunks. Every field is checked before it is used. */

export interface LegacyChunk {
  /** 64 hex digits: key of its value. */
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

export interface LegacyMetadata {
  /** Names of values: the whole content, the deltas since the base, or the chunks. */
  readonly names: readonly string[];
  /** 32 bytes, or null when it is missing or no such thing. */
  readonly merkleRoot: Buffer | null;
  readonly isChunked: boolean;
  readonly isSnapshot: boolean;
  /** Empty when the older system lost it. */
  readonly baseName: string;
  readonly versionCount: number;
  /** Nanoseconds since 1970; null when it is missing. */
  readonly timeNs: bigint | null;
  readonly size: number | null;
  readonly chunks: readonly LegacyChunk[] | null;
}

/** Parsed, or why not. */
export function parseMetadata(bytes: Buffer): LegacyMetadata | string {
  const value = parseObject(bytes);
  if (typeof value === 'string') return value;
  const { cids, base_snapshot_cid: base, merkle_root: root } = value;
  if (!Array.isArray(cids) || !cids.every((name): name is string => typeof name === 'string')) {
    return 'its metadata has no list of contents';
  }
  const chunks = value.chunk_manifest === undefined ? null : parseChunks(value.chunk_manifest);
  if (typeof chunks === 'string') return chunks;
  return {
    names: cids,
    merkleRoot: typeof root === 'string' ? rootOf(root) : null,
    isChunked: value.is_chunked === true,
    isSnapshot: value.is_snapshot === true,
    baseName: typeof base === 'string' ? base : '',
    versionCount: isCount(value.version_count) ? value.version_count : 0,
    timeNs: parseTime(value.timestamp),
    size: isCount(value.original_size) ? value.original_size : null,
    chunks,
  };
}

/** Paths that a value of `cas_refs` names; none when it is damaged. */
export function parseReferences(bytes: Buffer): readonly string[] {
  const value = parseObject(bytes);
  if (typeof value === 'string' || !Array.isArray(value.files)) return [];
  return value.files.filter((path): path is string => typeof path === 'string');
}

/** A list of chunks, or why not: they must follow each other without a gap. */
export function parseManifest(bytes: Buffer): readonly LegacyChunk[] | string {
  const value = parseObject(bytes);
  return typeof value === 'string' ? value : parseChunks(value);
}

function parseChunks(manifest: unknown): readonly LegacyChunk[] | string {
  const list =
    typeof manifest === 'object' && manifest !== null ? (manifest as { chunks?: unknown }).chunks : undefined;
  if (!Array.isArray(list)) return 'its list of chunks is damaged';
  const chunks: LegacyChunk[] = [];
  let end = 0;
  for (const item of list) {
    const { Hash: hash, Offset: offset, Length: length } = (item ?? {}) as Record<string, unknown>;
    const isHash = Array.isArray(hash) && hash.length === 32 && hash.every((byte) => isCount(byte) && byte < 256);
    if (!isHash || offset !== end || !isCount(length)) return `its chunk ${chunks.length} is damaged`;
    chunks.push({ name: Buffer.from(hash as number[]).toString('hex'), offset: end, length });
    end += length;
  }
  return chunks;
}

function parseObject(bytes: Buffer): Record<string, unknown> | string {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below: what exactly the parser stumbled over helps nobody.
  }
  return 'its metadata is no JSON object';
}

function rootOf(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 32 ? bytes : null;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** RFC 3339 with up to nine decimals. */
function parseTime(value: unknown): bigint | null {
  if (typeof value !== 'string' || value.length > 64) return null;
  const parts = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(value);
  const seconds = parts ? Date.parse(`${parts[1]}${parts[3]}`) : Number.NaN;
  if (!parts || Number.isNaN(seconds)) return null;
  return BigInt(seconds) * 1_000_000n + BigInt((parts[2] ?? '').padEnd(9, '0'));
}
