// Preloaded: the random numbers that names of temporary files are made of count up, so that each life has the same names.
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

ssize_t getrandom(void *to, size_t bytes, unsigned int flags) {
  static _Atomic uint64_t count;
  if (bytes != sizeof(uint64_t)) return syscall(SYS_getrandom, to, bytes, flags);
  const uint64_t number = atomic_fetch_add(&count, 1) + 1;
  memcpy(to, &number, sizeof number);
  return sizeof number;
}
