/** Reads files of `/proc`, whose lengths nobody knows beforehand. */
import { closeSync, openSync, readSync } from 'node:fs';
import { systemCode } from '../core/core.js';

/** What says that a process has ended, or is not ours to look at. Anything else is our trouble, not an answer. */
export const NO_ANSWER: readonly (string | undefined)[] = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'];

/**
 * What is read goes here first. `readFileSync` takes 128 KiB of new memory for each file whose length is not known: for all processes
 * of a machine that is more garbage than the capture itself makes.
 */
const ROOM = Buffer.allocUnsafeSlow(64 << 10);

/** @param once all of it comes with one read, as a line of `stat` does */
export function readText(path: string, once = false): string {
  try {
    const fd = openSync(path, 'r');
    try {
      let text = '';
      for (;;) {
        const bytes = readSync(fd, ROOM, 0, ROOM.length, null);
        text += ROOM.toString('latin1', 0, bytes);
        if (bytes === 0 || once) return text;
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (NO_ANSWER.includes(systemCode(error))) return '';
    throw error;
  }
}
