#include "common/errno_name.h"

#include <cerrno>

namespace dk {

// strerrorname_np() would do, but needs a newer C library than we ask for.
const char* ErrnoName(int error) {
  switch (error) {
#define DK_NAME(name) \
  case name:          \
    return #name;
    DK_NAME(E2BIG)
    DK_NAME(EACCES)
    DK_NAME(EAGAIN)
    DK_NAME(EBADF)
    DK_NAME(EBUSY)
    DK_NAME(EDQUOT)
    DK_NAME(EEXIST)
    DK_NAME(EFAULT)
    DK_NAME(EFBIG)
    DK_NAME(EINTR)
    DK_NAME(EINVAL)
    DK_NAME(EIO)
    DK_NAME(EISDIR)
    DK_NAME(ELOOP)
    DK_NAME(EMFILE)
    DK_NAME(EMLINK)
    DK_NAME(ENAMETOOLONG)
    DK_NAME(ENFILE)
    DK_NAME(ENODEV)
    DK_NAME(ENOENT)
    DK_NAME(ENOEXEC)
    DK_NAME(ENOLCK)
    DK_NAME(ENOMEM)
    DK_NAME(ENOSPC)
    DK_NAME(ENOSYS)
    DK_NAME(ENOTDIR)
    DK_NAME(ENOTEMPTY)
    DK_NAME(ENOTSUP)
    DK_NAME(ENXIO)
    DK_NAME(EPERM)
    DK_NAME(EPIPE)
    DK_NAME(EROFS)
    DK_NAME(ESPIPE)
    DK_NAME(ESTALE)
    DK_NAME(ETIMEDOUT)
    DK_NAME(ETXTBSY)
    DK_NAME(EXDEV)
#undef DK_NAME
    default:
      return "EUNKNOWN";
  }
}

}  // namespace dk
