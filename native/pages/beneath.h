// Opening entries below a root directory without ever leaving it: no `..`, no
// absolute path, no symbolic link in any component. Uses openat2 where the
// kernel has it, else walks component by component with O_NOFOLLOW.
//
// All functions return a descriptor (>= 0) or a negative errno, and may be
// called from any thread.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dk::pages {

// Owns a descriptor; closes it at the end of its life.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  ~FileDescriptor() { Reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

// The rule of isSafePath in src/core/byte-path.ts. The empty path (the root) is not safe here.
bool IsSafePath(std::string_view path);

// Splits what packPaths joined; false when the pieces are not exactly `count`.
bool UnpackPaths(std::string_view packed, size_t count, std::vector<std::string>* paths);

std::string_view ParentOf(std::string_view path);
std::string_view NameOf(std::string_view path);

// Opens the root itself; symbolic links on the way to it are the user's choice and are followed.
int OpenRoot(const std::string& root);

// Opens an entry below `root_fd`; '' opens the root directory anew. `path` must be safe or ''.
int OpenBeneath(int root_fd, const std::string& path, int flags);

// As OpenBeneath with O_RDONLY | O_NONBLOCK | O_NOFOLLOW, and O_NOATIME where the owner allows it.
int OpenForReading(int directory_fd, const std::string& path, int extra_flags);

// Forces the component walk, so that tests cover it on kernels that have openat2.
void UseComponentWalk(bool on);

// Remembers the last parent directory: batches come sorted, so most entries share it. Not thread-safe.
class ParentCache {
 public:
  explicit ParentCache(int root_fd) : root_fd_(root_fd) {}
  // Descriptor (O_PATH) of the parent of `path`, owned by the cache, or a negative errno.
  int Open(std::string_view path);

 private:
  int root_fd_;
  bool valid_ = false;
  std::string directory_;
  FileDescriptor fd_;
};

}  // namespace dk::pages
