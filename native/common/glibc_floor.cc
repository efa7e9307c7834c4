// Symbols that only newer system libraries have, defined for the addon alone (the
// linker's export list keeps them inside). See glibc_floor.h.
#include "common/glibc_floor.h"

#if defined(DK_GLIBC_FLOOR)
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>
#include <string>

extern "C" {

// libstdc++ asks it to skip atomic operations; "no" is always right.
char __libc_single_threaded = 0;

// Real functions since glibc 2.33 only. On x86-64 the kernel's struct is the library's.
int fstat(int fd, struct stat* row) noexcept { return static_cast<int>(syscall(SYS_fstat, fd, row)); }
int stat(const char* path, struct stat* row) noexcept { return static_cast<int>(syscall(SYS_stat, path, row)); }
int lstat(const char* path, struct stat* row) noexcept { return static_cast<int>(syscall(SYS_lstat, path, row)); }
int fstatat(int directory, const char* path, struct stat* row, int flags) noexcept {
  return static_cast<int>(syscall(SYS_newfstatat, directory, path, row, flags));
}
}

namespace std {
// Called by containers that are asked for an impossible size, since GCC 11.
__attribute__((weak)) void __throw_bad_array_new_length() { throw bad_array_new_length(); }
}  // namespace std

// What std::string::shrink_to_fit() calls since GCC 11, under the name the compiler gives it.
extern "C" void dk_string_shrink(std::string* text) __asm__(
    "_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE7reserveEv");
void dk_string_shrink(std::string* text) { std::string(*text).swap(*text); }
#endif
