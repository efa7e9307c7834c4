/** What is told when the metadata does not open. */
import { expect, it } from 'vitest';
import { metaError } from '../../src/store/meta-errors.js';

function opened(code: string, message: string): string {
  const cause = Object.assign(new Error(message), { code });
  const error = Object.assign(new Error('Database failed to open', { cause }), { code: 'LEVEL_DATABASE_NOT_OPEN' });
  return metaError(error, 'open', '/keep/meta').code;
}

it.each([
  ['EIO', 'EIO: i/o error, mkdir', 'DK_IO'],
  ['EACCES', 'EACCES: permission denied, mkdir', 'DK_IO'],
  ['EMFILE', 'EMFILE: too many open files, mkdir', 'DK_IO'],
  ['ENOSPC', 'ENOSPC: no space left on device, mkdir', 'DK_DISK_FULL'],
  ['EEXIST', 'EEXIST: file already exists, mkdir', 'DK_CORRUPT_INDEX'],
  ['ENOTDIR', 'ENOTDIR: not a directory, mkdir', 'DK_CORRUPT_INDEX'],
  ['LEVEL_IO_ERROR', 'IO error: 000005.log: Input/output error', 'DK_IO'],
  ['LEVEL_CORRUPTION', 'Corruption: 3 missing files', 'DK_CORRUPT_INDEX'],
  ['LEVEL_LOCKED', 'IO error: lock', 'DK_STORE_LOCKED'],
])('%s (%s) is %s', (code, message, told) => {
  expect(opened(code, message)).toBe(told);
});
