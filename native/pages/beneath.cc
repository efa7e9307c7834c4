#include "pages/beneath.h"

#include <linux/openat2.h>
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>

namespace dk::pages {
namespace {

constexpr size_t kPathBytesMax = 4095;
constexpr size_t kNameBytesMax = 255;

// Facts about the kernel, the same for every environment of the process.
enum Support : int { kUnknown = 0, kPresent = 1, kAbsent = 2 };
std::atomic<int> g_openat2{kUnknown};
std::atomic<bool> g_walk{false};

int CallOpenat2(int directory_fd, const char* path, int flags) {
  struct open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0;; attempt++) {
    const long fd = ::syscall(SYS_openat2, directory_fd, path, &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    // EAGAIN: a rename raced with the walk.
    if (errno != EINTR && (errno != EAGAIN || attempt >= 16)) return -errno;
  }
}

// EPERM is also what seccomp filters of container runtimes answer, so the call
// is probed once with arguments that cannot fail for another reason.
bool HasOpenat2(int root_fd) {
  if (g_walk.load(std::memory_order_relaxed)) return false;
  int known = g_openat2.load(std::memory_order_relaxed);
  if (known == kUnknown) {
    const int fd = CallOpenat2(root_fd, ".", O_PATH | O_DIRECTORY);
    known = fd == -ENOSYS || fd == -EPERM ? kAbsent : kPresent;
    if (fd >= 0) ::close(fd);
    g_openat2.store(known, std::memory_order_relaxed);
  }
  return known == kPresent;
}

int CallOpenat(int directory_fd, const char* name, int flags) {
  for (;;) {
    const int fd = ::openat(directory_fd, name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) return fd;
    if (errno != EINTR) return -errno;
  }
}

int WalkBeneath(int root_fd, const std::string& path, int flags) {
  FileDescriptor held;
  int current = root_fd;
  size_t start = 0;
  for (;;) {
    const size_t slash = path.find('/', start);
    const std::string name = path.substr(start, slash == std::string::npos ? slash : slash - start);
    if (slash == std::string::npos) return CallOpenat(current, name.c_str(), flags);
    const int next = CallOpenat(current, name.c_str(), O_PATH | O_DIRECTORY);
    if (next < 0) return next;
    held.Reset(next);
    current = next;
    start = slash + 1;
  }
}

}  // namespace

bool IsSafePath(std::string_view path) {
  if (path.empty() || path.size() > kPathBytesMax) return false;
  if (path.find('\0') != std::string_view::npos) return false;
  size_t start = 0;
  for (;;) {
    const size_t slash = path.find('/', start);
    const std::string_view name = path.substr(start, slash == std::string_view::npos ? slash : slash - start);
    if (name.empty() || name == "." || name == ".." || name.size() > kNameBytesMax) return false;
    if (slash == std::string_view::npos) return true;
    start = slash + 1;
  }
}

bool UnpackPaths(std::string_view packed, size_t count, std::vector<std::string>* paths) {
  paths->clear();
  if (count == 0) return packed.empty();
  // Each path but the last costs at least its NUL, so this bounds the reservation.
  if (count - 1 > packed.size()) return false;
  paths->reserve(count);
  size_t start = 0;
  for (;;) {
    const size_t end = packed.find('\0', start);
    if (end == std::string_view::npos) {
      paths->emplace_back(packed.substr(start));
      return paths->size() == count;
    }
    if (paths->size() + 1 >= count) return false;
    paths->emplace_back(packed.substr(start, end - start));
    start = end + 1;
  }
}

std::string_view ParentOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view NameOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

int OpenRoot(const std::string& root) {
  if (root.find('\0') != std::string::npos) return -EINVAL;
  for (;;) {
    const int fd = ::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) return fd;
    if (errno != EINTR) return -errno;
  }
}

int OpenBeneath(int root_fd, const std::string& path, int flags) {
  if (path.empty()) return CallOpenat(root_fd, ".", flags);
  if (!IsSafePath(path)) return -EINVAL;
  if (HasOpenat2(root_fd)) return CallOpenat2(root_fd, path.c_str(), flags | O_NOFOLLOW);
  return WalkBeneath(root_fd, path, flags);
}

int OpenForReading(int directory_fd, const std::string& path, int extra_flags) {
  const int flags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | extra_flags;
  const int fd = OpenBeneath(directory_fd, path, flags | O_NOATIME);
  // Only the owner may ask for O_NOATIME.
  return fd == -EPERM ? OpenBeneath(directory_fd, path, flags) : fd;
}

void UseComponentWalk(bool on) { g_walk.store(on, std::memory_order_relaxed); }

int ParentCache::Open(std::string_view path) {
  const std::string_view directory = ParentOf(path);
  if (valid_ && directory == directory_) return fd_.get();
  const int fd = OpenBeneath(root_fd_, std::string(directory), O_PATH | O_DIRECTORY);
  valid_ = fd >= 0;
  fd_.Reset(fd >= 0 ? fd : -1);
  directory_ = directory;
  return fd;
}

}  // namespace dk::pages
