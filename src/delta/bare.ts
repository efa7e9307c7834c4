/**
 * Deltas without a container, for the programs of others: BSDIFF40 (bsdiff, bspatch), VCDIFF (xdelta3) and frames of
 * zstd --patch-from. They carry no digests: what they make is not verified.
 */
import { DiffKeeperError, throwIfAborted } from '../core/core.js';
import { type Effort, type Engine, frameContentBytes } from '../engine/engine.js';
import { loadEngine } from '../engine/load.js';
import { looksCompact } from './compact.js';
import { resolveDiffOptions } from './diff-options.js';
import { isWindows } from './window-format.js';

/** A file format of others: `bsdiff` for BSDIFF40, `vcdiff` for RFC 3284, `zstd` for a frame with the source as prefix. */
export type BareFormat = 'bsdiff' | 'vcdiff' | 'zstd';

interface Bare {
  readonly magic: Buffer;
  diff(engine: Engine, source: Uint8Array, target: Uint8Array, level: number): Promise<Buffer>;
  patch(engine: Engine, source: Uint8Array, delta: Uint8Array, targetBytesMax: number): Promise<Buffer>;
}

const BARE: Readonly<Record<BareFormat, Bare>> = {
  bsdiff: {
    magic: Buffer.from('BSDIFF40', 'latin1'),
    diff: (engine, source, target) => engine.bsdiffDiff(source, target),
    patch: (engine, source, delta, targetBytesMax) => engine.bsdiffPatch(source, delta, targetBytesMax),
  },
  vcdiff: {
    magic: Buffer.from([0xd6, 0xc3, 0xc4]),
    // With checksums: they are all that can tell a wrong source.
    diff: (engine, source, target) => engine.vcdiffDiff(source, target, true),
    patch: (engine, source, delta, targetBytesMax) => engine.vcdiffPatch(source, delta, targetBytesMax),
  },
  zstd: {
    magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
    diff: (engine, source, target, level) => engine.compress(target, { level, context: source }),
    patch: patchFrame,
  },
};
/** As `zstd --long=31`, the widest window that its command line takes. */
const WINDOW_LOG_MAX = 31;

/** A frame of `zstd --patch-from`, or of any zstd where the source is empty. */
async function patchFrame(engine: Engine, source: Uint8Array, delta: Uint8Array, bytesMax: number): Promise<Buffer> {
  const decodedBytes = frameContentBytes(delta, WINDOW_LOG_MAX);
  if (decodedBytes === undefined) {
    throw new DiffKeeperError(
      'DK_UNSUPPORTED',
      'the zstd frame does not say how long the target is: it came from a pipe',
    );
  }
  if (decodedBytes > bytesMax) {
    throw new DiffKeeperError('DK_LIMIT', `the delta makes ${decodedBytes} bytes; at most ${bytesMax} are allowed`, {
      expected: bytesMax,
      actual: decodedBytes,
    });
  }
  return engine.decompress(delta, { decodedBytes, context: source });
}
const CONTAINER_MAGIC = Buffer.from('DKD1', 'latin1');
/** As for containers: nobody gets more than this without asking. */
const TARGET_BYTES_MAX = 2 * 1024 ** 3;

function startsWith(bytes: Uint8Array, magic: Buffer): boolean {
  return bytes.length >= magic.length && magic.equals(bytes.subarray(0, magic.length));
}

/** What a delta is by its first bytes: `dkd` for our container in either form; undefined for something else. */
export function deltaFormat(delta: Uint8Array): 'dkd' | BareFormat | undefined {
  if (!(delta instanceof Uint8Array)) throw new TypeError(`delta must be a Buffer or Uint8Array, got ${typeof delta}`);
  if (startsWith(delta, CONTAINER_MAGIC) || looksCompact(delta) || isWindows(delta)) return 'dkd';
  return (Object.keys(BARE) as BareFormat[]).find((format) => startsWith(delta, BARE[format].magic));
}

export interface BareDiffOptions {
  readonly format: BareFormat;
  /** For `zstd`: its level is 3, 9 or 19. Default `fast`. */
  readonly effort?: Effort;
  /** For `zstd`: 1-19. Default: as the effort says. */
  readonly level?: number;
  readonly signal?: AbortSignal;
}

/** A bare delta that `bspatch`, `xdelta3 -d` or `zstd -d --patch-from` applies, too. Throws DK_ABORTED, TypeError, RangeError. */
export async function diffBare(source: Uint8Array, target: Uint8Array, options: BareDiffOptions): Promise<Buffer> {
  const { format, signal } = options;
  if (!Object.hasOwn(BARE, format)) {
    throw new TypeError(`format must be one of ${Object.keys(BARE).join(', ')}, got ${String(format)}`);
  }
  const { effort, level } = options;
  const chosen = resolveDiffOptions({ ...(effort && { effort }), ...(level !== undefined && { level }) });
  throwIfAborted(signal);
  const delta = await BARE[format].diff(loadEngine(), source, target, chosen.level);
  throwIfAborted(signal);
  return delta;
}

export interface BarePatchOptions {
  readonly signal?: AbortSignal;
  /** Longest target accepted, bytes. Default 2 GiB. */
  readonly targetBytesMax?: number;
}

/**
 * The target that a bare delta makes of `source`. Its structure is checked, and checksums where VCDIFF has them;
 * whether `source` is the right one cannot be told from BSDIFF40, nor from frames without a checksum. Throws
 * DK_CORRUPT_DELTA, DK_LIMIT, DK_UNSUPPORTED (no bare delta, secondary compression, a code table of its own, a frame
 * that says no length), DK_ABORTED.
 */
export async function patchBare(
  source: Uint8Array,
  delta: Uint8Array,
  options: BarePatchOptions = {},
): Promise<Buffer> {
  const { signal, targetBytesMax = TARGET_BYTES_MAX } = options;
  throwIfAborted(signal);
  const format = deltaFormat(delta);
  if (format === undefined || format === 'dkd') {
    const what = format === 'dkd' ? 'a delta container: use patch' : 'none of BSDIFF40, VCDIFF and zstd';
    throw new DiffKeeperError('DK_UNSUPPORTED', `the delta is ${what}`);
  }
  const target = await BARE[format].patch(loadEngine(), source, delta, targetBytesMax);
  throwIfAborted(signal);
  return target;
}
