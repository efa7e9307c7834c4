/** What a run writes down of the application that it has started: `running-H` of `docs/format.md`. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { systemCode } from '../core/core.js';

export const RUNNING_PREFIX = 'running-';
const BYTES_MAX = 1024;

export interface RunningNote {
  /** Of the machine. */
  readonly boot: string;
  /** Namespace that process ids are of. */
  readonly space: string;
  readonly pid: number;
  readonly startTicks: number;
  /** In the environment of its processes; empty: in none. */
  readonly mark: string;
}

/** Undefined when there is none, and for what has another form. Throws the system's error. */
export async function readRunningNote(file: string): Promise<RunningNote | undefined> {
  const text = Buffer.alloc(BYTES_MAX);
  let bytesRead: number;
  try {
    // What is no file of ours is neither followed nor waited for.
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      ({ bytesRead } = await handle.read(text, 0, BYTES_MAX, 0));
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (/^(ENOENT|ELOOP|ENXIO|EISDIR)$/.test(systemCode(error))) return undefined;
    throw error;
  }
  const [world = '', line = ''] = text.toString('latin1', 0, bytesRead).split('\n');
  const [, boot, space] = /^(\S+) (\d+)$/.exec(world) ?? [];
  const [, pid, startTicks, mark] = /^(\d{1,10}) (\d{1,15}) (-|[0-9a-f-]{36})$/.exec(line) ?? [];
  if (boot === undefined || space === undefined || pid === undefined) return undefined;
  return { boot, space, pid: Number(pid), startTicks: Number(startTicks), mark: mark === '-' ? '' : (mark ?? '') };
}
