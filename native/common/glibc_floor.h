// Forced into every own C++ file: binds functions whose newest version differs from
// their oldest by name only to the oldest, so that a binary built on a new system
// loads on an old one. glibc_floor.cc does the same for what cannot be renamed.
// Together they hold the floor at glibc 2.25 and libstdc++ of GCC 6.
#if defined(__linux__) && defined(__x86_64__) && !defined(__ASSEMBLER__)
#include <features.h>
#if defined(__GLIBC__) && !defined(DK_SANITIZED)
#define DK_GLIBC_FLOOR 1
__asm__(".symver log2,log2@GLIBC_2.2.5");
__asm__(".symver pthread_create,pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_join,pthread_join@GLIBC_2.2.5");
__asm__(".symver pthread_detach,pthread_detach@GLIBC_2.2.5");
__asm__(".symver pthread_sigmask,pthread_sigmask@GLIBC_2.2.5");
__asm__(
    ".symver _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE,"
    "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11");
#endif
#endif
