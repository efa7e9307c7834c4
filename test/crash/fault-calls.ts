/** Which calls on a file of the store fail, and how. */

export const FAULTS: Readonly<Record<string, readonly string[]>> = {
  openat: ['EIO', 'EMFILE', 'EACCES', 'ENOSPC'],
  write: ['EIO', 'ENOSPC'],
  pwrite64: ['EIO', 'ENOSPC'],
  pwritev: ['EIO', 'ENOSPC'],
  fdatasync: ['EIO', 'ENOSPC'],
  fsync: ['EIO', 'ENOSPC'],
  rename: ['EIO', 'ENOSPC', 'EACCES'],
  link: ['EIO', 'ENOSPC'],
  unlink: ['EIO', 'EACCES'],
  rmdir: ['EIO'],
  mkdir: ['EIO', 'ENOSPC'],
  ftruncate: ['EIO', 'ENOSPC'],
  fallocate: ['ENOSPC'],
  read: ['EIO'],
  pread64: ['EIO'],
  preadv: ['EIO'],
  preadv2: ['EIO'],
  getdents64: ['EIO'],
  statx: ['EIO', 'EACCES'],
  newfstatat: ['EIO'],
  stat: ['EIO'],
  access: ['EIO'],
  mmap: ['ENOMEM'],
  fcntl: ['ENOLCK'],
  openat2: ['EIO', 'EMFILE', 'EACCES', 'ENOSPC'],
  fstat: ['EIO'],
  flistxattr: ['EIO'],
  renameat: ['EIO', 'ENOSPC', 'EACCES'],
  mkdirat: ['EIO', 'ENOSPC', 'EACCES'],
  linkat: ['EIO', 'ENOSPC', 'EACCES'],
  symlinkat: ['EIO', 'ENOSPC', 'EACCES'],
  unlinkat: ['EIO', 'EACCES'],
  fchmod: ['EIO', 'EACCES'],
  fchown: ['EIO', 'EACCES'],
  fchownat: ['EIO', 'EACCES'],
  utimensat: ['EIO', 'EACCES'],
  syncfs: ['EIO', 'ENOSPC'],
};

/**
 * Calls that are left alone: a failing close says nothing about bytes that were synced; the rest asks the system for
 * nothing that a disk could refuse.
 */
export const LEFT_ALONE: ReadonlySet<string> = new Set([
  'close',
  'fadvise64',
  'fstatfs',
  'lseek',
  'munmap',
  'readlink',
  'statfs',
]);
