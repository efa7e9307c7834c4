#include "pages/process_stat.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "pages/beneath.h"

namespace dk::pages {
namespace {

#if defined(__linux__)

// Of the fields behind the name.
constexpr int kStartField = 19;
// The name has at most 64 bytes, and the numbers before the start time 20 digits each.
constexpr size_t kLineBytes = 1024;

// These say that a process has ended, or is not ours to look at. Anything else is our trouble, not an answer.
bool IsNoAnswer(int error) { return error == ENOENT || error == ESRCH || error == EACCES || error == EPERM; }

bool TakeNumber(const char** at, const char* end, int64_t* value) {
  const char* p = *at;
  const bool negative = p < end && *p == '-';
  if (negative) ++p;
  uint64_t number = 0;
  int digits = 0;
  for (; p < end && *p >= '0' && *p <= '9'; ++p, ++digits) {
    if (digits == 18) return false;
    number = number * 10 + static_cast<uint64_t>(*p - '0');
  }
  if (digits == 0) return false;
  *value = negative ? -static_cast<int64_t>(number) : static_cast<int64_t>(number);
  *at = p;
  return true;
}

bool SkipFields(const char** at, const char* end, int count) {
  for (; count > 0; --count) {
    const void* space = std::memchr(*at, ' ', static_cast<size_t>(end - *at));
    if (space == nullptr) return false;
    *at = static_cast<const char*>(space) + 1;
  }
  return true;
}

// The name (field 2) may hold anything, so the fields are counted from its last parenthesis on.
bool ParseStat(const char* line, size_t length, ProcessRow* row) {
  const char* const end = line + length;
  const void* const close = memrchr(line, ')', length);
  if (close == nullptr) return false;
  const char* at = static_cast<const char*>(close) + 1;
  if (end - at < 2 || at[0] != ' ') return false;
  row->state = at[1];
  int64_t ticks = 0;
  // State, parent, group, session; the rest is counted.
  const bool read = SkipFields(&at, end, 2) && TakeNumber(&at, end, &row->parent) && SkipFields(&at, end, 1) &&
                    TakeNumber(&at, end, &row->group) && SkipFields(&at, end, 1) &&
                    TakeNumber(&at, end, &row->session) && SkipFields(&at, end, kStartField - 3) &&
                    TakeNumber(&at, end, &ticks);
  row->start_ticks = static_cast<uint64_t>(ticks);
  return read;
}

#endif

}  // namespace

int ListProcesses(std::vector<ProcessRow>* rows) {
#if defined(__linux__)
  DIR* const directory = ::opendir("/proc");
  if (directory == nullptr) return errno == ENOENT ? -ENOTTY : -errno;
  int status = 0;
  char line[kLineBytes];
  char path[64];
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(directory);
    if (entry == nullptr) {
      status = -errno;
      break;
    }
    const char* at = entry->d_name;
    ProcessRow row{};
    if (!TakeNumber(&at, at + std::strlen(at), &row.pid) || *at != '\0' || row.pid <= 0) continue;
    std::snprintf(path, sizeof path, "%lld/stat", static_cast<long long>(row.pid));
    const FileDescriptor file(::openat(dirfd(directory), path, O_RDONLY | O_CLOEXEC));
    // All of it comes with one read.
    const ssize_t length = file.get() < 0 ? -1 : ::read(file.get(), line, sizeof line);
    if (length < 0) {
      if (IsNoAnswer(errno)) continue;
      status = -errno;
      break;
    }
    if (ParseStat(line, static_cast<size_t>(length), &row)) rows->push_back(row);
  }
  ::closedir(directory);
  return status;
#else
  (void)rows;
  return -ENOTTY;
#endif
}

}  // namespace dk::pages
