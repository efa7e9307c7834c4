// One row of file status, the columns of STAT in src/engine/engine.ts, and the
// comparisons that decide whether an entry is still what it was.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace dk::pages {

enum Column : size_t {
  kType = 0,
  kMode = 1,
  kUid = 2,
  kGid = 3,
  kSize = 4,
  kMtimeNs = 5,
  kCtimeNs = 6,
  kIno = 7,
  kDev = 8,
  kNlink = 9,
  kBlocks = 10,
};
constexpr size_t kStatColumns = 11;

// Values of ENTRY. Stored in version records: never change, never reuse.
enum EntryType : int64_t { kRemoved = 0, kFile = 1, kDirectory = 2, kSymlink = 3, kSpecial = 4 };

using StatRow = std::array<int64_t, kStatColumns>;

inline int64_t EntryTypeOf(mode_t mode) {
  if (S_ISREG(mode)) return kFile;
  if (S_ISDIR(mode)) return kDirectory;
  if (S_ISLNK(mode)) return kSymlink;
  return kSpecial;
}

inline StatRow RowOf(const struct stat& status) {
  constexpr int64_t kSecond = 1000000000;
  return StatRow{EntryTypeOf(status.st_mode),
                 static_cast<int64_t>(status.st_mode & 07777),
                 static_cast<int64_t>(status.st_uid),
                 static_cast<int64_t>(status.st_gid),
                 static_cast<int64_t>(status.st_size),
                 status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec,
                 status.st_ctim.tv_sec * kSecond + status.st_ctim.tv_nsec,
                 static_cast<int64_t>(status.st_ino),
                 static_cast<int64_t>(status.st_dev),
                 static_cast<int64_t>(status.st_nlink),
                 static_cast<int64_t>(status.st_blocks)};
}

// A row whose type says which errno kept the entry from being read.
inline StatRow FailedRow(int error) {
  StatRow row{};
  row[kType] = -static_cast<int64_t>(error);
  return row;
}

// Whether the bytes read between two rows belong to one state of one file.
inline bool SameContent(const StatRow& a, const StatRow& b) {
  return a[kType] == b[kType] && a[kSize] == b[kSize] && a[kMtimeNs] == b[kMtimeNs] && a[kCtimeNs] == b[kCtimeNs] &&
         a[kIno] == b[kIno] && a[kDev] == b[kDev];
}

}  // namespace dk::pages
