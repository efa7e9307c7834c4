#include "pages/xattr_list.h"

#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace dk::pages {
namespace {

constexpr size_t kNameBytesMax = 255;

bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

bool IsKept(std::string_view name) {
  return StartsWith(name, "user.") || StartsWith(name, "security.") || StartsWith(name, "trusted.") ||
         StartsWith(name, "system.posix_acl_");
}

void AppendVarint(std::string* out, size_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

// Takes one varint of at most `value_max` off the front of `rest`.
bool TakeVarint(std::string_view* rest, size_t value_max, size_t* value) {
  size_t result = 0;
  for (unsigned shift = 0; shift < 21 && !rest->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest->front());
    rest->remove_prefix(1);
    result |= static_cast<size_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = result;
      return result <= value_max;
    }
  }
  return false;
}

bool TakeBytes(std::string_view* rest, size_t length_max, std::string_view* bytes) {
  size_t length = 0;
  if (!TakeVarint(rest, length_max, &length) || length > rest->size()) return false;
  *bytes = rest->substr(0, length);
  rest->remove_prefix(length);
  return true;
}

// Names of the attributes, sorted; empty when there are none or they cannot be listed.
std::vector<std::string> ListNames(int fd) {
  std::vector<std::string> names;
  char small[512];
  std::vector<char> large;
  const char* text = small;
  ssize_t bytes = ::flistxattr(fd, small, sizeof small);
  if (bytes < 0 && errno == ERANGE) {
    large.resize(kXattrListBytesMax);
    bytes = ::flistxattr(fd, large.data(), large.size());
    text = large.data();
  }
  if (bytes <= 0) return names;
  std::string_view rest(text, static_cast<size_t>(bytes));
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\0'), rest.size());
    if (IsKept(rest.substr(0, end))) names.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool IsTolerable(int error) { return error == EOPNOTSUPP || error == EPERM || error == EACCES || error == EINVAL; }

// What a directory had before, or what a new entry has inherited from an access list. Labels belong to the system.
int RemoveOthers(int fd, const std::vector<std::string>& wanted) {
  for (const std::string& name : ListNames(fd)) {
    if (StartsWith(name, "security.") || std::find(wanted.begin(), wanted.end(), name) != wanted.end()) continue;
    if (::fremovexattr(fd, name.c_str()) != 0 && errno != ENODATA && !IsTolerable(errno)) return -errno;
  }
  return 0;
}

}  // namespace

std::string ReadXattrs(int fd) {
  std::string list;
  const std::vector<std::string> names = ListNames(fd);
  if (names.empty()) return list;
  std::vector<char> value(kXattrListBytesMax);
  for (const std::string& name : names) {
    const ssize_t bytes = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
    if (bytes < 0) continue;
    std::string entry;
    AppendVarint(&entry, name.size());
    entry += name;
    AppendVarint(&entry, static_cast<size_t>(bytes));
    entry.append(value.data(), static_cast<size_t>(bytes));
    if (list.size() + entry.size() <= kXattrListBytesMax) list += entry;
  }
  return list;
}

int ApplyXattrs(int fd, std::string_view list) {
  if (list.size() > kXattrListBytesMax) return -EBADMSG;
  std::vector<std::string> wanted;
  while (!list.empty()) {
    std::string_view name;
    std::string_view value;
    if (!TakeBytes(&list, kNameBytesMax, &name) || name.empty()) return -EBADMSG;
    if (!TakeBytes(&list, kXattrListBytesMax, &value)) return -EBADMSG;
    // A list is data from a store: it must not reach namespaces that reading never takes.
    if (!IsKept(name) || name.find('\0') != std::string_view::npos) return -EBADMSG;
    wanted.emplace_back(name);
    if (::fsetxattr(fd, wanted.back().c_str(), value.data(), value.size(), 0) != 0 && !IsTolerable(errno)) {
      return -errno;
    }
  }
  return RemoveOthers(fd, wanted);
}

}  // namespace dk::pages
