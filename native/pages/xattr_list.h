// Extended attributes of an entry as one list of bytes:
//
//   list  := entry*                 sorted by name, byte order
//   entry := varint nameLength, name, varint valueLength, value
//
// varint is unsigned LEB128. No attribute gives the empty list.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dk::pages {

// Bytes of one list at most; attributes that do not fit are left out (the kernel's own bound is the same).
constexpr size_t kXattrListBytesMax = 65536;

// Reads user.*, security.*, trusted.* and the POSIX access lists, as far as
// they are readable. A file system without attributes gives the empty list.
std::string ReadXattrs(int fd);

// Sets every attribute of the list, and takes away all others that `ReadXattrs`
// reads, but security.*, which the system gives. Namespaces that the file system or the
// caller's privileges do not allow are passed over. Returns 0 or a negative
// errno; -EBADMSG when the list is damaged.
int ApplyXattrs(int fd, std::string_view list);

}  // namespace dk::pages
