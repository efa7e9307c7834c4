#include "place/place_parts.h"

#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

#include "pages/xattr_list.h"

namespace dk::place {
namespace {

constexpr int kDirectoryFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
constexpr std::string_view kPrefix = ".dk-";
constexpr std::string_view kSuffix = ".tmp";
constexpr size_t kDigits = 16;

}  // namespace

int OpenOrMakeDirectory(int root_fd, const std::string& path) {
  const int known = pages::OpenBeneath(root_fd, path, kDirectoryFlags);
  if (known != -ENOENT) return known;
  pages::FileDescriptor held;
  int current = root_fd;
  size_t start = 0;
  for (;;) {
    const size_t slash = path.find('/', start);
    const bool last = slash == std::string::npos;
    const std::string name = path.substr(start, last ? slash : slash - start);
    // Someone else may make it at the same moment.
    if (::mkdirat(current, name.c_str(), 0700) != 0 && errno != EEXIST) return -errno;
    const int next = ::openat(current, name.c_str(), kDirectoryFlags | O_CLOEXEC);
    if (next < 0) return -errno;
    held.Reset(next);
    current = next;
    if (last) return held.Release();
    start = slash + 1;
  }
}

int ParentMaker::Open(std::string_view path) {
  if (!pages::IsSafePath(path)) return -EINVAL;
  const std::string_view directory = pages::ParentOf(path);
  if (valid_ && directory == directory_) return fd_.get();
  const int fd = OpenOrMakeDirectory(root_fd_, std::string(directory));
  valid_ = fd >= 0;
  fd_.Reset(fd >= 0 ? fd : -1);
  directory_ = directory;
  return fd;
}

std::string TemporaryName() {
  uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number)) {
    static std::atomic<uint64_t> counter{0};
    number = (static_cast<uint64_t>(::getpid()) << 32) + counter.fetch_add(1);
  }
  char digits[kDigits + 1];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(number));
  return std::string(kPrefix).append(digits, kDigits).append(kSuffix);
}

bool IsTemporaryName(std::string_view name) {
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size()) return false;
  return name.substr(0, kPrefix.size()) == kPrefix && name.substr(name.size() - kSuffix.size()) == kSuffix;
}

int CreateTemporary(int directory_fd, std::string* name) {
  for (int attempt = 0; attempt < 16; ++attempt) {
    *name = TemporaryName();
    const int fd = ::openat(directory_fd, name->c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) return fd;
    if (errno != EEXIST && errno != EINTR) return -errno;
  }
  return -EEXIST;
}

int RenameOver(int from_fd, const char* from, int to_fd, const char* to) {
  if (::renameat(from_fd, from, to_fd, to) == 0) return 0;
  if (errno != EISDIR) return -errno;
  if (::unlinkat(to_fd, to, AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return errno == ENOTEMPTY || errno == EEXIST ? -EISDIR : -errno;
  }
  return ::renameat(from_fd, from, to_fd, to) == 0 ? 0 : -errno;
}

void TimesOf(const StatRow& row, struct timespec times[2]) {
  constexpr int64_t kSecond = 1000000000;
  const int64_t mtime = row[pages::kMtimeNs];
  int64_t seconds = mtime / kSecond;
  int64_t rest = mtime % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --seconds;
  }
  times[0].tv_sec = static_cast<time_t>(seconds);
  times[0].tv_nsec = static_cast<long>(rest);
  times[1] = times[0];
}

int ApplyAttributes(int fd, const Entry& entry, bool owner) {
  const StatRow& row = entry.row;
  if (owner && ::fchown(fd, static_cast<uid_t>(row[pages::kUid]), static_cast<gid_t>(row[pages::kGid])) != 0) {
    return -errno;
  }
  // A changed owner drops these bits, and without the owner they would lend the wrong identity.
  const mode_t kept = owner ? 07777 : 01777;
  if (::fchmod(fd, static_cast<mode_t>(row[pages::kMode]) & kept) != 0) return -errno;
  const int status = pages::ApplyXattrs(fd, entry.xattrs);
  if (status != 0) return status;
  struct timespec times[2];
  TimesOf(row, times);
  return ::futimens(fd, times) == 0 ? 0 : -errno;
}

}  // namespace dk::place
