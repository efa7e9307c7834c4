/**
 * The marker at the top of a store, in two files with the same bytes: one line of JSON, written once and never changed.
 * It says that this directory is a store even when the metadata is lost. Nothing else in the store can be read without
 * its id, so it carries a digest of itself:
 *
 *   {"diffkeeper":"store","format":2, ... ,"check":"<SHA-256, hex, of the object without this last member>"}
 *
 * Stores made before there was a copy have one file, without `check`.
 */
import { createHash, DiffKeeperError } from '../core/core.js';

export const STORE_FORMAT = 2;
/** Of a store that is encrypted: older programs must not touch it. */
export const ENCRYPTED_FORMAT = 3;
export const CIPHER = 'xaes-256-gcm';
export const MARKER_NAMES = ['DIFFKEEPER', 'DIFFKEEPER.copy'] as const;

export interface Marker {
  readonly format: number;
  /** 32 hex digits. */
  readonly id: string;
  readonly hashAlgo: 'blake3' | 'sha256';
  /** How records are sealed; absent when they are not. */
  readonly encryption?: typeof CIPHER;
  /** 32 hex digits: seed of page hashes. */
  readonly seed: string;
  /** ISO 8601 time. */
  readonly created: string;
}

const CHECK_MEMBER = /^(\{.*),"check":"([0-9a-f]{64})"\}\n$/;

/** SHA-256 of some bytes. */
export type Sha256 = (bytes: Uint8Array) => Buffer;

const nodeSha256: Sha256 = (bytes) => createHash('sha256').update(bytes).digest();

function checkOf(json: string, sha256 = nodeSha256): string {
  return sha256(Buffer.from(json, 'utf8')).toString('hex');
}

export function encodeMarker(marker: Marker): Buffer {
  const json = JSON.stringify({ diffkeeper: 'store', ...marker });
  return Buffer.from(`${json.slice(0, -1)},"check":"${checkOf(json)}"}\n`, 'utf8');
}

/**
 * Whether these are the bytes of a marker as it was written: damage that leaves good JSON is found by its digest alone.
 *
 * @param sha256 of an engine, which spares a program that has just started Node's own: that takes longer to load than the
 *   rest of opening the store
 */
export function isMarkerChecked(bytes: Uint8Array, sha256 = nodeSha256): boolean {
  const [, front = '', check] = CHECK_MEMBER.exec(Buffer.from(bytes).toString('utf8')) ?? [];
  return check !== undefined && check === checkOf(`${front}}`, sha256);
}

/**
 * What a marker says; of one without a digest nobody knows whether it was written so. Throws DK_NO_STORE, also for one
 * that its digest denies, or DK_STORE_FORMAT_NEWER. `path` is named in errors;
 * `sha256` as in `isMarkerChecked`.
 */
export function decodeMarker(bytes: Uint8Array, path: string, sha256 = nodeSha256): Marker {
  const no = (reason: string): never => {
    throw new DiffKeeperError('DK_NO_STORE', `${path} is not a DiffKeeper store: ${reason}`, { path });
  };
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return no('its marker file is not JSON');
  }
  if (typeof value !== 'object' || value === null) return no('its marker file is not an object');
  const { diffkeeper, format, id, hashAlgo, seed, created, encryption, check } = value as Record<string, unknown>;
  if (diffkeeper !== 'store' || typeof format !== 'number') return no('its marker file names no format');
  if (check !== undefined && !isMarkerChecked(bytes, sha256)) return no('its marker file is damaged');
  const unknown = encryption !== undefined && encryption !== CIPHER;
  if (format > ENCRYPTED_FORMAT || unknown) {
    throw new DiffKeeperError(
      'DK_STORE_FORMAT_NEWER',
      `${path} has store format ${format}, this program knows up to ${ENCRYPTED_FORMAT}: use a newer DiffKeeper`,
      { path, expected: ENCRYPTED_FORMAT, actual: format },
    );
  }
  const hex = /^[0-9a-f]{32}$/;
  if (typeof id !== 'string' || !hex.test(id)) return no('its marker file has no id');
  if (typeof seed !== 'string' || !hex.test(seed)) return no('its marker file has no seed');
  if (hashAlgo !== 'blake3' && hashAlgo !== 'sha256') return no(`unknown digest ${String(hashAlgo)}`);
  if ((format === ENCRYPTED_FORMAT) !== (encryption === CIPHER)) return no('its marker file contradicts itself');
  const common: Marker = { format, id, hashAlgo, seed, created: typeof created === 'string' ? created : '' };
  return encryption === CIPHER ? { ...common, encryption } : common;
}
