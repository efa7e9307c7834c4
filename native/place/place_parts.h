// Steps that placing is made of. Private to the folder.
#pragma once

#include <string>
#include <string_view>

#include "place/place.h"

namespace dk::place {

// Descriptor (O_PATH) of a directory below the root, made with its parents when missing; or a negative errno.
int OpenOrMakeDirectory(int root_fd, const std::string& path);

// Remembers the last parent directory, making it when missing. Not thread-safe.
class ParentMaker {
 public:
  explicit ParentMaker(int root_fd) : root_fd_(root_fd) {}
  // Owned by the maker, or a negative errno.
  int Open(std::string_view path);
  int root_fd() const { return root_fd_; }

 private:
  const int root_fd_;
  bool valid_ = false;
  std::string directory_;
  pages::FileDescriptor fd_;
};

// `.dk-<16 hex digits>.tmp`, different at every call in every process.
std::string TemporaryName();
bool IsTemporaryName(std::string_view name);

// Opens a new file under a temporary name in a directory; sets `name`. Descriptor or negative errno.
int CreateTemporary(int directory_fd, std::string* name);

// Renames over whatever is there but a directory that is not empty (-EISDIR).
int RenameOver(int from_fd, const char* from, int to_fd, const char* to);

// Owner (when asked), mode, extended attributes and times, in the order in which none undoes another.
int ApplyAttributes(int fd, const Entry& entry, bool owner);

// mtime of the row, in both times.
void TimesOf(const StatRow& row, struct timespec times[2]);

}  // namespace dk::place
