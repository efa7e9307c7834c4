// preallocate, syncFileSystem, lockFile, and info about what is inside.
#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "binding/args.h"
#include "binding/register.h"
#include "binding/worker.h"
#include "blake3/blake3_face.h"
#include "bzip2/bzip2_face.h"
#include "common/cpu.h"
#include "common/errno_name.h"
#include "common/thread_pool.h"
#include "pages/group_anchor.h"
#include "pages/process_maps.h"
#include "pages/process_stat.h"
#include "xxhash/xxhash_face.h"
#include "zstd/zstd_face.h"

namespace dk {
namespace {

constexpr uint64_t kOffsetMax = (uint64_t{1} << 53) - 1;

// Quick (the blocks are only marked), hence on the calling thread.
Napi::Value Preallocate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int fd = static_cast<int>(TakeInteger(info[0], "fd", 0, 0x7fffffff));
  const uint64_t offset = TakeInteger(info[1], "offset", 0, kOffsetMax);
  const uint64_t bytes = TakeInteger(info[2], "bytes", 0, kOffsetMax);
#if defined(__linux__) && defined(FALLOC_FL_KEEP_SIZE)
  if (bytes == 0) return env.Undefined();
  int result;
  do {
    result = fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  // Not every file system can: then blocks are found when they are written, as ever.
  if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS) {
    const int error = errno;
    throw MakeError(env, ErrnoName(error), std::string(ErrnoName(error)) + ": cannot preallocate");
  }
#else
  (void)fd, (void)offset, (void)bytes;
#endif
  return env.Undefined();
}

// Everything written to the file system that holds a directory, whoever wrote it: one call, not one for each file.
class SyncFileSystemJob : public Worker {
 public:
  explicit SyncFileSystemJob(const Napi::CallbackInfo& info)
      : Worker(info.Env()), directory_(TakeString(info[0], "directory")) {}

 protected:
  void Execute() override {
#if defined(__linux__)
    const int fd = open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return FailErrno(errno, "open '" + directory_ + "'");
    const int error = syncfs(fd) == 0 ? 0 : errno;
    close(fd);
    if (error == 0) {
      done_ = true;
    } else if (error != ENOSYS) {
      FailErrno(error, "sync the file system of '" + directory_ + "'");
    }
#endif
  }

  Napi::Value Resolve(Napi::Env env) override { return Napi::Boolean::New(env, done_); }

 private:
  const std::string directory_;
  bool done_ = false;
};

// Locks a whole file for writing, without waiting; false when somebody else has it. The lock is the open file's: it
// ends with the last descriptor of it, and neither another descriptor of the same file that is closed nor another
// thread has a part in it, as with locks of a process. On the calling thread: one call.
Napi::Value LockFile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int fd = static_cast<int>(TakeInteger(info[0], "fd", 0, 0x7fffffff));
#if defined(F_OFD_SETLK)
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  int result;
  do {
    result = fcntl(fd, F_OFD_SETLK, &whole);
  } while (result != 0 && errno == EINTR);
  const int error = result == 0 ? 0 : errno;
#else
  const int error = ENOSYS;
#endif
  if (error == EAGAIN || error == EACCES) return Napi::Boolean::New(env, false);
  if (error != 0) throw MakeError(env, ErrnoName(error), std::string(ErrnoName(error)) + ": cannot lock a file");
  return Napi::Boolean::New(env, true);
}

// Collects an ended child that nobody else waits for: what process 1 of a container owes to orphans. Node has no call
// for children that it has not started itself.
Napi::Value ReapProcess(const Napi::CallbackInfo& info) {
  const pid_t pid = static_cast<pid_t>(TakeInteger(info[0], "pid", 1, 0x7fffffff));
  int status = 0;
  return Napi::Boolean::New(info.Env(), waitpid(pid, &status, WNOHANG) == pid);
}

// Stops a process by way of one of its threads; Node can name processes only. False when it is gone, or another user's.
Napi::Value StopThread(const Napi::CallbackInfo& info) {
  const long pid = static_cast<long>(TakeInteger(info[0], "pid", 1, 0x7fffffff));
  const long thread = static_cast<long>(TakeInteger(info[1], "thread", 1, 0x7fffffff));
#if defined(__linux__)
  return Napi::Boolean::New(info.Env(), syscall(SYS_tgkill, pid, thread, SIGSTOP) == 0);
#else
  (void)pid, (void)thread;
  return Napi::Boolean::New(info.Env(), false);
#endif
}

// Child processes that lose their parent come to us from now on, not to process 1. Nobody inherits this. False where
// the system does not have it.
Napi::Value AdoptOrphans(const Napi::CallbackInfo& info) {
#if defined(__linux__)
  return Napi::Boolean::New(info.Env(), prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
#else
  return Napi::Boolean::New(info.Env(), false);
#endif
}

#if defined(__linux__)
// The same one by one, for systems before Linux 5.11 or that forbid the call.
bool CloseEachOnExec(int first) {
  DIR* listing = opendir("/proc/self/fd");
  if (listing == nullptr) return false;
  while (const dirent* entry = readdir(listing)) {
    const int fd = std::atoi(entry->d_name);
    // What is closed meanwhile needs nothing.
    if (fd >= first) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  closedir(listing);
  return true;
}
#endif

// Descriptors from `first` on are closed in whatever is started from now on: LevelDB opens its files without saying so,
// and Node hands on what is not marked. False where the system lets us do neither. On the calling thread: it waits for
// nothing.
Napi::Value CloseOnExec(const Napi::CallbackInfo& info) {
  const int first = static_cast<int>(TakeInteger(info[0], "first", 3, 0x7fffffff));
#if defined(__linux__)
  // By number, since the name needs glibc 2.34; it is the same on every processor.
  constexpr long kCloseRange = 436;
  constexpr unsigned kMarkOnly = 1u << 2;
  if (syscall(kCloseRange, static_cast<unsigned>(first), ~0u, kMarkOnly) == 0) {
    return Napi::Boolean::New(info.Env(), true);
  }
  return Napi::Boolean::New(info.Env(), CloseEachOnExec(first));
#else
  (void)first;
  return Napi::Boolean::New(info.Env(), false);
#endif
}

// Marks what is open under this descriptor, for as long as it is open, and tells whether somebody else has: a shared
// lock on one byte far behind any content. It is seen through every name and from every namespace, and is in nobody's
// way: a directory cannot be locked for writing, and `flock` knows nothing of it. Undefined where nobody can tell: the
// system has no such locks, or another lock is before it. On the calling thread: it waits for nothing.
Napi::Value MarkOpened(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int fd = static_cast<int>(TakeInteger(info[0], "fd", 0, 0x7fffffff));
#if defined(__linux__) && defined(F_OFD_SETLK)
  const off_t at = static_cast<off_t>(TakeInteger(info[1], "at", 0, kOffsetMax));
  struct flock mark = {};
  mark.l_type = F_RDLCK;
  mark.l_whence = SEEK_SET;
  mark.l_start = at;
  mark.l_len = 1;
  if (fcntl(fd, F_OFD_SETLK, &mark) != 0) return env.Undefined();
  // Only asked for: whether a lock for writing would have to wait, which it does for every lock but our own.
  mark.l_type = F_WRLCK;
  mark.l_pid = 0;
  if (fcntl(fd, F_OFD_GETLK, &mark) != 0) return env.Undefined();
  if (mark.l_type == F_UNLCK) return Napi::Boolean::New(env, false);
  // Another lock, of a wider range, is not a mark; whether there is one behind it cannot be asked.
  if (mark.l_start != at || mark.l_len != 1) return env.Undefined();
  return Napi::Boolean::New(env, true);
#else
  (void)fd;
  return env.Undefined();
#endif
}

// Names of what a process has mapped shared and writable, each with a NUL behind it; undefined where only the text in
// /proc tells. On the calling thread: the application stands still.
Napi::Value WritableMappings(const Napi::CallbackInfo& info) {
  const int pid = static_cast<int>(TakeInteger(info[0], "pid", 1, 0x7fffffff));
  std::vector<std::string> names;
  if (pages::WritableMappings(pid, &names) != 0) return info.Env().Undefined();
  std::string joined;
  for (const std::string& name : names) joined.append(name).push_back('\0');
  return CopyToBuffer(info.Env(), reinterpret_cast<const uint8_t*>(joined.data()), joined.size());
}

constexpr size_t kProcessColumns = 6;

// Writes all processes into `into`, as many as fit: pid, letter of the state, parent, group, session, start time in
// clock ticks. Gives how many there are; undefined where /proc does not tell. On the calling thread: it waits for
// nothing.
Napi::Value ListProcesses(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    ThrowType(env, "into must be a Float64Array");
  }
  std::vector<pages::ProcessRow> rows;
  const int status = pages::ListProcesses(&rows);
  if (status == -ENOTTY) return env.Undefined();
  if (status != 0)
    throw MakeError(env, ErrnoName(-status), std::string(ErrnoName(-status)) + ": cannot list processes");
  Napi::Float64Array into = info[0].As<Napi::Float64Array>();
  const size_t room = into.ElementLength() / kProcessColumns;
  double* out = into.Data();
  for (size_t i = 0; i < rows.size() && i < room; ++i) {
    const pages::ProcessRow& row = rows[i];
    const double columns[kProcessColumns] = {static_cast<double>(row.pid),     static_cast<double>(row.state),
                                             static_cast<double>(row.parent),  static_cast<double>(row.group),
                                             static_cast<double>(row.session), static_cast<double>(row.start_ticks)};
    std::copy(columns, columns + kProcessColumns, out + i * kProcessColumns);
  }
  return Napi::Number::New(env, static_cast<double>(rows.size()));
}

constexpr uint32_t kGroupsMax = 64;

// Processes that keep groups of our session from being orphaned by our death: the holder, a child of ours, first; none
// where no group can be entered. On the calling thread: a millisecond.
Napi::Value AnchorGroups(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsArray()) ThrowType(env, "groups must be an array");
  const Napi::Array given = info[0].As<Napi::Array>();
  if (given.Length() > kGroupsMax) ThrowRange(env, "groups must be at most 64");
  std::vector<pid_t> groups;
  for (uint32_t i = 0; i < given.Length(); ++i) {
    groups.push_back(static_cast<pid_t>(TakeInteger(given.Get(i), "group", 1, 0x7fffffff)));
  }
  const unsigned seconds = static_cast<unsigned>(TakeInteger(info[1], "seconds", 1, 3600));
  const std::string mark = TakeString(info[2], "mark");
  std::vector<pid_t> pids;
  const int status = pages::AnchorGroups(groups, seconds, mark.c_str(), &pids);
  if (status != 0)
    throw MakeError(env, ErrnoName(-status), std::string(ErrnoName(-status)) + ": cannot anchor process groups");
  Napi::Array result = Napi::Array::New(env, pids.size());
  for (size_t i = 0; i < pids.size(); ++i) {
    result.Set(static_cast<uint32_t>(i), Napi::Number::New(env, static_cast<double>(pids[i])));
  }
  return result;
}

Napi::Value Info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object versions = Napi::Object::New(env);
  versions.Set("zstd", zstd::Version());
  versions.Set("blake3", blake3::Version());
  versions.Set("xxhash", xxhash::Version());
  versions.Set("bzip2", bzip2::Version());
  Napi::Object result = Napi::Object::New(env);
  result.Set("simd", CpuSimdName());
  result.Set("threads", Napi::Number::New(env, static_cast<double>(PoolThreads())));
  result.Set("versions", versions);
  return result;
}

}  // namespace

void RegisterSystem(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "preallocate", Preallocate);
  Export(env, exports, "syncFileSystem", RunJob<SyncFileSystemJob>);
  Export(env, exports, "lockFile", LockFile);
  Export(env, exports, "reapProcess", ReapProcess);
  Export(env, exports, "stopThread", StopThread);
  Export(env, exports, "adoptOrphans", AdoptOrphans);
  Export(env, exports, "closeOnExec", CloseOnExec);
  Export(env, exports, "markOpened", MarkOpened);
  Export(env, exports, "writableMappings", WritableMappings);
  Export(env, exports, "listProcesses", ListProcesses);
  Export(env, exports, "anchorGroups", AnchorGroups);
  Export(env, exports, "info", Info);
}

}  // namespace dk
