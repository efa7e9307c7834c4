// Forced into every C++ file: binds the thread functions to their oldest version
// in the GNU C library, so that a binary built on a new system loads on an old one.
// Newer headers would pick the 2.34 names of the very same functions.
#if defined(__linux__) && defined(__x86_64__) && !defined(__ASSEMBLER__)
#include <features.h>
#if defined(__GLIBC__)
__asm__(".symver pthread_create,pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_join,pthread_join@GLIBC_2.2.5");
__asm__(".symver pthread_detach,pthread_detach@GLIBC_2.2.5");
#endif
#endif
