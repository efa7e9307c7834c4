// Creates and replaces entries below a root directory that nothing may leave,
// not even through a symbolic link inside it. Contents come under a temporary
// name `.dk-<hex>.tmp` in the directory of the destination and are renamed.
//
// Functions return 0 or a negative errno: -EINVAL for a path that leaves the
// root, -ENOTDIR or -ELOOP when a parent is a file or a symbolic link, -EISDIR
// when a directory that is not empty stands in the way. Missing parents are
// made with mode 0700. Nothing here syncs to disk. Callable from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pages/beneath.h"
#include "pages/stat_row.h"

namespace dk::place {

using pages::StatRow;

// One entry to be. Of the row type, mode, uid, gid and mtimeNs are used, and
// for files size and blocks: fewer blocks than the size needs ask for holes.
struct Entry {
  std::string_view path;
  StatRow row;
  const uint8_t* data = nullptr;  // content of a file, text of a symbolic link
  size_t length = 0;
  std::string_view xattrs;
};

// Places entries; neighbours that are not directories are placed in parallel,
// directories one after the other between them. `owner`: set uid and gid too.
// One status per entry. Returns 0 or the negative errno of opening the root.
int PlaceEntries(const std::string& root, const std::vector<Entry>& entries, bool owner, std::vector<int32_t>* status);

// A new empty file next to `path` (mode 0600). The descriptor is the caller's.
struct Temporary {
  int fd = -1;
  std::string path;  // below root
};
int OpenTemporary(const std::string& root, const std::string& path, Temporary* temporary);

// Sets attributes of `fd`, which is open for `temporary`, and renames. On
// failure the temporary file is removed. The descriptor stays open.
int CommitTemporary(const std::string& root, const std::string& temporary, int fd, const Entry& entry, bool owner);

// Makes `path` a hard link to `existing`, replacing what is there.
int PlaceLink(const std::string& root, const std::string& existing, const std::string& path);

}  // namespace dk::place
