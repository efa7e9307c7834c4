/** `replica.json` in a store that follows another one: which it follows, and who writes to it. */
import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { DiffKeeperError, fromSystemError, systemCode, writeFileDurable } from '../core/core.js';

const NAME = 'replica.json';

export interface ReplicaNote {
  /** Id of the store that is followed. */
  readonly source: string;
  /** Name of the peer that pushes; empty for a store that is pulled into. */
  readonly writer: string;
  /** ISO 8601 time. */
  readonly since: string;
}

/** Null for a store that follows none. @throws DK_REPLICA when the note is damaged, DK_IO */
export async function readNote(storePath: string): Promise<ReplicaNote | null> {
  const file = path.join(storePath, NAME);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw fromSystemError(error, 'read', file);
  }
  try {
    const { source, writer, since } = JSON.parse(text) as Record<string, unknown>;
    if (typeof source === 'string' && typeof writer === 'string' && typeof since === 'string') {
      return { source, writer, since };
    }
  } catch {
    // Told below.
  }
  throw new DiffKeeperError('DK_REPLICA', `${file} does not say which store is followed: remove it to begin anew`, {
    path: file,
  });
}

export async function writeNote(storePath: string, note: ReplicaNote): Promise<void> {
  const file = path.join(storePath, NAME);
  await writeFileDurable(file, Buffer.from(`${JSON.stringify(note)}\n`)).catch((error: unknown) => {
    throw fromSystemError(error, 'write', file);
  });
}
