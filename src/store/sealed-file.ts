/**
 * Advisory files: what may be deleted at any time, and is ignored unless all of it fits.
 *
 *   prefix (says what the file describes) | payload bytes u64 | XXH3-64 u64 of the payload, seeded with the XXH3-64 of
 *   all before it | payload
 *
 * In an encrypted store the prefix is a keyed digest of itself, and the payload is sealed.
 */
import { open, stat } from 'node:fs/promises';
import { readFully, writeFileAdvisory } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import type { CacheGuard } from './cache-guard.js';

const SEAL_BYTES = 16;
/** What an encrypted payload may have more than the plain one. */
const GUARD_BYTES = 64;

/** What caches of a store are written with. */
export interface CacheWays {
  readonly engine: Engine;
  readonly guard: CacheGuard;
}

function sealedHeader(engine: Engine, prefix: Buffer, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(prefix.length + SEAL_BYTES);
  prefix.copy(header);
  header.writeBigUInt64LE(BigInt(payload.length), prefix.length);
  const seed = engine.xxh3(header.subarray(0, prefix.length + 8));
  header.writeBigUInt64LE(BigInt.asUintN(64, engine.xxh3(payload, seed)), prefix.length + 8);
  return header;
}

/** The payload; undefined when the file is missing, unreadable, longer than allowed, damaged, or has another prefix. */
export async function readSealedFile(
  { engine, guard }: CacheWays,
  file: string,
  about: Buffer,
  bytesMax: number,
): Promise<Buffer | undefined> {
  const prefix = guard.describe(about);
  const headerBytes = prefix.length + SEAL_BYTES;
  let bytes: Buffer;
  try {
    const facts = await stat(file);
    if (!facts.isFile() || facts.size < headerBytes || facts.size > bytesMax + GUARD_BYTES) return undefined;
    const handle = await open(file, 'r');
    try {
      // Most files describe another moment: the rest is not read then.
      const start = Buffer.alloc(prefix.length);
      await readFully(handle, start, 0);
      if (!start.equals(prefix)) return undefined;
      bytes = await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch {
    // A cache that cannot be read is a cache that is not there.
    return undefined;
  }
  const payload = bytes.subarray(headerBytes);
  if (!sealedHeader(engine, prefix, payload).equals(bytes.subarray(0, headerBytes))) return undefined;
  return guard.open(payload, prefix);
}

/** Replaces the file, without any sync. */
export async function writeSealedFile(ways: CacheWays, file: string, about: Buffer, plain: Buffer): Promise<void> {
  const { engine, guard } = ways;
  const prefix = guard.describe(about);
  const payload = guard.seal(plain, prefix);
  await writeFileAdvisory(file, Buffer.concat([sealedHeader(engine, prefix, payload), payload]));
}
