#include "place/place.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/thread_pool.h"
#include "place/place_parts.h"

namespace dk::place {
namespace {

// What one thread places before it asks for more.
constexpr size_t kSliceEntries = 32;
constexpr size_t kSliceBytes = 512 << 10;
constexpr size_t kHoleBytes = 4096;
constexpr size_t kLinkTextMax = 4095;

int WriteFully(int fd, const uint8_t* data, size_t length, uint64_t offset) {
  while (length > 0) {
    const ssize_t bytes = ::pwrite(fd, data, length, static_cast<off_t>(offset));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return -errno;
    if (bytes == 0) return -EIO;
    data += bytes;
    offset += static_cast<uint64_t>(bytes);
    length -= static_cast<size_t>(bytes);
  }
  return 0;
}

bool IsZero(const uint8_t* data, size_t length) { return data[0] == 0 && std::memcmp(data, data + 1, length - 1) == 0; }

// Leaves pages of zeros out and sets the length at the end.
int WriteSparse(int fd, const uint8_t* data, size_t length) {
  size_t begin = 0;
  for (size_t at = 0; at < length;) {
    const size_t piece = std::min(kHoleBytes, length - at);
    if (IsZero(data + at, piece)) {
      const int status = WriteFully(fd, data + begin, at - begin, begin);
      if (status != 0) return status;
      begin = at + piece;
    }
    at += piece;
  }
  const int status = WriteFully(fd, data + begin, length - begin, begin);
  if (status != 0) return status;
  return ::ftruncate(fd, static_cast<off_t>(length)) == 0 ? 0 : -errno;
}

int FillFile(int fd, const Entry& entry, bool owner) {
  // Divided, not multiplied: the row is data from a store and must not overflow.
  const bool sparse = entry.row[pages::kBlocks] < (entry.row[pages::kSize] + 511) / 512;
  const int status = sparse ? WriteSparse(fd, entry.data, entry.length) : WriteFully(fd, entry.data, entry.length, 0);
  return status != 0 ? status : ApplyAttributes(fd, entry, owner);
}

int PlaceFile(ParentMaker* parents, const Entry& entry, bool owner) {
  const int parent = parents->Open(entry.path);
  if (parent < 0) return parent;
  std::string temporary;
  const int fd = CreateTemporary(parent, &temporary);
  if (fd < 0) return fd;
  int status = FillFile(fd, entry, owner);
  // A full disk may be reported as late as here.
  if (::close(fd) != 0 && status == 0 && errno != EINTR) status = -errno;
  const std::string name(pages::NameOf(entry.path));
  if (status == 0) status = RenameOver(parent, temporary.c_str(), parent, name.c_str());
  if (status != 0) ::unlinkat(parent, temporary.c_str(), 0);
  return status;
}

int DressSymlink(int parent, const char* name, const StatRow& row, bool owner) {
  if (owner && ::fchownat(parent, name, static_cast<uid_t>(row[pages::kUid]), static_cast<gid_t>(row[pages::kGid]),
                          AT_SYMLINK_NOFOLLOW) != 0) {
    return -errno;
  }
  struct timespec times[2];
  TimesOf(row, times);
  return ::utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

int PlaceSymlink(ParentMaker* parents, const Entry& entry, bool owner) {
  const std::string text(reinterpret_cast<const char*>(entry.data), entry.length);
  if (text.empty() || text.size() > kLinkTextMax || text.find('\0') != std::string::npos) {
    return -EINVAL;
  }
  const int parent = parents->Open(entry.path);
  if (parent < 0) return parent;
  std::string temporary;
  int status = -EEXIST;
  for (int attempt = 0; attempt < 16 && status == -EEXIST; ++attempt) {
    temporary = TemporaryName();
    status = ::symlinkat(text.c_str(), parent, temporary.c_str()) == 0 ? 0 : -errno;
  }
  if (status != 0) return status;
  const std::string name(pages::NameOf(entry.path));
  status = DressSymlink(parent, temporary.c_str(), entry.row, owner);
  if (status == 0) status = RenameOver(parent, temporary.c_str(), parent, name.c_str());
  if (status != 0) ::unlinkat(parent, temporary.c_str(), 0);
  return status;
}

// Makes the directory where there is none, in place of whatever else has its name.
int MakeDirectory(int parent, const char* name) {
  for (int attempt = 0; attempt < 4; ++attempt) {
    if (::mkdirat(parent, name, 0700) == 0) return 0;
    if (errno != EEXIST) return -errno;
    struct stat status;
    if (::fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return -errno;
    }
    if (S_ISDIR(status.st_mode)) return 0;
    if (::unlinkat(parent, name, 0) != 0 && errno != ENOENT) return -errno;
  }
  return -EEXIST;
}

// The root itself ('') exists; only its attributes are set.
int PlaceDirectory(ParentMaker* parents, const Entry& entry, bool owner) {
  int parent = parents->root_fd();
  std::string name;
  if (!entry.path.empty()) {
    parent = parents->Open(entry.path);
    if (parent < 0) return parent;
    name = pages::NameOf(entry.path);
    const int status = MakeDirectory(parent, name.c_str());
    if (status != 0) return status;
  }
  int fd = pages::OpenBeneath(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd == -EACCES) {
    // Our own directory, closed to us by an earlier run's mode: its row decides the mode below.
    if (::fchmodat(parent, name.empty() ? "." : name.c_str(), 0700, 0) != 0) return -errno;
    fd = pages::OpenBeneath(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }
  if (fd < 0) return fd;
  const pages::FileDescriptor held(fd);
  return ApplyAttributes(fd, entry, owner);
}

int PlaceOne(ParentMaker* parents, const Entry& entry, bool owner) {
  switch (entry.row[pages::kType]) {
    case pages::kFile:
      return PlaceFile(parents, entry, owner);
    case pages::kSymlink:
      return PlaceSymlink(parents, entry, owner);
    case pages::kDirectory:
      return PlaceDirectory(parents, entry, owner);
    default:
      return -EINVAL;
  }
}

}  // namespace

int PlaceEntries(const std::string& root, const std::vector<Entry>& entries, bool owner, std::vector<int32_t>* status) {
  status->assign(entries.size(), 0);
  const int root_fd = pages::OpenRoot(root);
  if (root_fd < 0) return root_fd;
  const pages::FileDescriptor held(root_fd);
  const auto is_directory = [&](size_t i) { return entries[i].row[pages::kType] == pages::kDirectory; };
  for (size_t begin = 0; begin < entries.size();) {
    if (is_directory(begin)) {
      // The row may replace what the maker holds open by something else of that name: a fresh one each.
      ParentMaker parents(root_fd);
      (*status)[begin] = PlaceOne(&parents, entries[begin], owner);
      ++begin;
      continue;
    }
    std::vector<size_t> starts;
    size_t end = begin;
    for (size_t bytes = 0; end < entries.size() && !is_directory(end); ++end) {
      if (starts.empty() || end - starts.back() >= kSliceEntries || bytes >= kSliceBytes) {
        starts.push_back(end);
        bytes = 0;
      }
      bytes += entries[end].length;
    }
    starts.push_back(end);
    ParallelFor(starts.size() - 1, [&](size_t slice) {
      ParentMaker parents(root_fd);
      for (size_t i = starts[slice]; i < starts[slice + 1]; ++i) {
        (*status)[i] = PlaceOne(&parents, entries[i], owner);
      }
    });
    begin = end;
  }
  return 0;
}

int OpenTemporary(const std::string& root, const std::string& path, Temporary* temporary) {
  const int root_fd = pages::OpenRoot(root);
  if (root_fd < 0) return root_fd;
  const pages::FileDescriptor held(root_fd);
  ParentMaker parents(root_fd);
  const int parent = parents.Open(path);
  if (parent < 0) return parent;
  std::string name;
  const int fd = CreateTemporary(parent, &name);
  if (fd < 0) return fd;
  const std::string_view directory = pages::ParentOf(path);
  temporary->fd = fd;
  temporary->path = directory.empty() ? name : std::string(directory) + "/" + name;
  return 0;
}

int CommitTemporary(const std::string& root, const std::string& temporary, int fd, const Entry& entry, bool owner) {
  const std::string_view from = pages::NameOf(temporary);
  // Only what OpenTemporary named may be renamed, or removed on failure.
  if (!IsTemporaryName(from) || !pages::IsSafePath(temporary)) return -EINVAL;
  const int root_fd = pages::OpenRoot(root);
  if (root_fd < 0) return root_fd;
  const pages::FileDescriptor held(root_fd);
  ParentMaker sources(root_fd);
  ParentMaker targets(root_fd);
  const int source = sources.Open(temporary);
  if (source < 0) return source;
  const std::string name(from);
  const int target = targets.Open(entry.path);
  int status = target < 0 ? target : ApplyAttributes(fd, entry, owner);
  if (status == 0) {
    const std::string to(pages::NameOf(entry.path));
    status = RenameOver(source, name.c_str(), target, to.c_str());
  }
  if (status != 0) ::unlinkat(source, name.c_str(), 0);
  return status;
}

int PlaceLink(const std::string& root, const std::string& existing, const std::string& path) {
  const int root_fd = pages::OpenRoot(root);
  if (root_fd < 0) return root_fd;
  const pages::FileDescriptor held(root_fd);
  if (!pages::IsSafePath(existing)) return -EINVAL;
  pages::ParentCache sources(root_fd);
  const int source = sources.Open(existing);
  if (source < 0) return source;
  ParentMaker targets(root_fd);
  const int target = targets.Open(path);
  if (target < 0) return target;
  const std::string from(pages::NameOf(existing));
  const std::string temporary = TemporaryName();
  if (::linkat(source, from.c_str(), target, temporary.c_str(), 0) != 0) return -errno;
  const std::string to(pages::NameOf(path));
  const int status = RenameOver(target, temporary.c_str(), target, to.c_str());
  // Renaming onto a link to the same file does nothing at all and leaves the temporary name behind.
  ::unlinkat(target, temporary.c_str(), 0);
  return status;
}

}  // namespace dk::place
