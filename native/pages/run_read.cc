#include "pages/run_read.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <numeric>

#include "common/thread_pool.h"
#include "pages/beneath.h"

namespace dk {
namespace pages {
namespace {

// A disk reads so much more as soon as it begins anew.
constexpr uint64_t kAdviseGapBytes = 32u << 10;
// Shorter runs are advised about as fast as they are looked at.
constexpr uint64_t kLookBytesMin = 64u << 10;
// Of longer ones a byte in so many is looked at: advice about memory that is there costs as much as half of reading it.
constexpr uint64_t kLookEveryBytes = 1u << 20;
// Memory and file positions of reads past the page cache are multiples of this.
constexpr uint64_t kDirectUnit = 4096;
// Pieces that a thread reads at once.
constexpr size_t kSlice = 64;

// Reads what stands from `offset` on to the rooms, one after the other. False unless all of it was in memory already:
// nothing waits for the disk.
bool ReadCached(int fd, uint64_t offset, const struct iovec* rooms, size_t count) {
#if defined(__LP64__) && defined(SYS_preadv2) && defined(RWF_NOWAIT)
  uint64_t wanted = 0;
  for (size_t i = 0; i < count; ++i) wanted += rooms[i].iov_len;
  const long got =
      syscall(SYS_preadv2, fd, rooms, static_cast<long>(count), static_cast<long>(offset), 0L, long{RWF_NOWAIT});
  return got >= 0 && static_cast<uint64_t>(got) == wanted;
#else
  (void)fd, (void)offset, (void)rooms, (void)count;
  return false;
#endif
}

// Whether all of it is in memory already, as far as a look at some bytes of it tells.
bool IsCached(int fd, uint64_t begin, uint64_t end) {
  if (end - begin < kLookBytesMin) return false;
  const auto look = [fd](uint64_t at) {
    uint8_t byte;
    const struct iovec room = {&byte, 1};
    return ReadCached(fd, at, &room, 1);
  };
  for (uint64_t at = begin; at < end; at += kLookEveryBytes) {
    if (!look(at)) return false;
  }
  return look(end - 1);
}

// Another descriptor of the same file, whose reads go past the page cache; below 0 when there is none. The one that is
// given is used by others meanwhile.
int OpenPastCache(int fd) {
#if defined(__linux__) && defined(O_DIRECT)
  char name[32];
  std::snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  return open(name, O_RDONLY | O_CLOEXEC | O_DIRECT);
#else
  (void)fd;
  return -1;
#endif
}

// As ReadRun, past the page cache as far as that goes: what is refused or ends within a unit is left to the cache.
int64_t ReadPastCache(int past, int fd, const Run& run, uint8_t* into) {
  uint64_t done = 0;
  while (done < run.length) {
    const ssize_t got = pread(past, into + done, run.length - done, static_cast<off_t>(run.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<uint64_t>(got);
    if (done % kDirectUnit != 0) break;
  }
  if (done == run.length) return static_cast<int64_t>(done);
  const int64_t rest = ReadRun(fd, {run.offset + done, run.length - done}, into + done);
  return rest < 0 ? rest : static_cast<int64_t>(done) + rest;
}

bool SuitsPastCache(const Run& run, const uint8_t* into) {
  return run.length >= kLookBytesMin && run.offset % kDirectUnit == 0 && run.length % kDirectUnit == 0 &&
         reinterpret_cast<uintptr_t>(into) % kDirectUnit == 0;
}

class PieceReader {
 public:
  PieceReader(const std::vector<int>& fds, const std::vector<Piece>& pieces, uint8_t* into)
      : fds_(fds), pieces_(pieces), into_(into), order_(pieces.size()), short_(pieces.size(), 0) {
    std::iota(order_.begin(), order_.end(), 0u);
    std::sort(order_.begin(), order_.end(), [this](uint32_t a, uint32_t b) {
      const Piece& one = pieces_[a];
      const Piece& other = pieces_[b];
      return one.file != other.file ? one.file < other.file : one.run.offset < other.run.offset;
    });
  }

  std::vector<uint32_t> Read(const std::function<bool()>& cancelled) {
    ParallelFor((order_.size() + kSlice - 1) / kSlice, [&](size_t slice) {
      const size_t end = std::min((slice + 1) * kSlice, order_.size());
      for (size_t i = slice * kSlice; i < end && !cancelled();) {
        const size_t next = EndOfRow(i, end);
        ReadRow(i, next);
        i = next;
      }
    });
    std::vector<uint32_t> failed;
    for (size_t i = 0; i < short_.size(); ++i) {
      if (short_[i] != 0) failed.push_back(static_cast<uint32_t>(i));
    }
    return failed;
  }

  void Advise() const {
    std::vector<Run> runs;
    for (size_t i = 0; i < order_.size(); ++i) {
      const Piece& piece = pieces_[order_[i]];
      runs.push_back(piece.run);
      if (i + 1 < order_.size() && pieces_[order_[i + 1]].file == piece.file) continue;
      AdviseRuns(fds_[piece.file], runs);
      runs.clear();
    }
  }

 private:
  // The pieces from `begin` on that stand one behind the other in a file end here, at the latest at `end`.
  size_t EndOfRow(size_t begin, size_t end) const {
    size_t next = begin + 1;
    for (; next < end; ++next) {
      const Piece& last = pieces_[order_[next - 1]];
      const Piece& piece = pieces_[order_[next]];
      if (piece.file != last.file || piece.run.offset != last.run.offset + last.run.length) break;
    }
    return next;
  }

  // A page is copied about as fast as the system is asked for it, so that a row is asked for at once. It is no longer
  // than kSlice.
  void ReadRow(size_t begin, size_t end) {
    struct iovec rooms[kSlice];
    for (size_t i = begin; i < end; ++i) {
      const Piece& piece = pieces_[order_[i]];
      rooms[i - begin] = {into_ + piece.place, static_cast<size_t>(piece.run.length)};
    }
    const Piece& first = pieces_[order_[begin]];
    if (ReadCached(fds_[first.file], first.run.offset, rooms, end - begin)) return;
    for (size_t i = begin; i < end; ++i) ReadOne(order_[i]);
  }

  void ReadOne(uint32_t number) {
    const Piece& piece = pieces_[number];
    const int fd = fds_[piece.file];
    uint8_t* into = into_ + piece.place;
    // To ask for each would cost a third of what reading pages that are in memory does: only now is it worth it.
    // Not call_once: its pthread_once would ask for a newer C library than the rest.
    if (!advised_.exchange(true)) Advise();
    const PoolWait wait;
    const int64_t got = ReadRun(fd, piece.run, into);
    short_[number] = got < 0 || static_cast<uint64_t>(got) != piece.run.length ? 1 : 0;
  }

  const std::vector<int>& fds_;
  const std::vector<Piece>& pieces_;
  uint8_t* const into_;
  // Numbers of the pieces by where they stand.
  std::vector<uint32_t> order_;
  // Per piece 1 when it was not read whole; a byte each, since threads write them side by side.
  std::vector<uint8_t> short_;
  std::atomic<bool> advised_{false};
};

}  // namespace

int64_t ReadRun(int fd, const Run& run, uint8_t* into) {
  uint64_t done = 0;
  while (done < run.length) {
    const ssize_t got = pread(fd, into + done, run.length - done, static_cast<off_t>(run.offset + done));
    if (got < 0) {
      if (errno == EINTR) continue;
      return -static_cast<int64_t>(errno);
    }
    if (got == 0) break;
    done += static_cast<uint64_t>(got);
  }
  return static_cast<int64_t>(done);
}

void AdviseRuns(int fd, const std::vector<Run>& runs) {
#if defined(POSIX_FADV_WILLNEED)
  // Advice: that it cannot be taken is no failure. Runs that are soon behind each other are one piece of advice: for
  // thousands of pages a call for each costs a third of what reading them does.
  bool cached = true;
  for (size_t i = 0; i < runs.size();) {
    const uint64_t begin = runs[i].offset;
    uint64_t end = begin + runs[i].length;
    for (i += 1; i < runs.size() && runs[i].offset >= end && runs[i].offset - end <= kAdviseGapBytes; ++i) {
      end = runs[i].offset + runs[i].length;
    }
    // The first that is not in memory is hardly the only one.
    cached = cached && IsCached(fd, begin, end);
    if (cached) continue;
    (void)posix_fadvise(fd, static_cast<off_t>(begin), static_cast<off_t>(end - begin), POSIX_FADV_WILLNEED);
  }
#else
  (void)fd, (void)runs;
#endif
}

std::vector<int64_t> ReadRuns(int fd, const std::vector<Run>& runs, uint8_t* into, bool direct,
                              const std::function<bool()>& cancelled) {
  const FileDescriptor past(direct ? OpenPastCache(fd) : -1);
  // The system then reads the later runs while the first is copied.
  if (runs.size() > 1 && past.get() < 0) AdviseRuns(fd, runs);
  std::vector<int64_t> done(runs.size(), 0);
  for (size_t i = 0; i < runs.size() && !cancelled(); ++i) {
    const Run& run = runs[i];
    const bool suits = past.get() >= 0 && SuitsPastCache(run, into);
    const bool goes = suits && !IsCached(fd, run.offset, run.offset + run.length);
    done[i] = goes ? ReadPastCache(past.get(), fd, run, into) : ReadRun(fd, run, into);
    into += runs[i].length;
  }
  return done;
}

std::vector<uint32_t> ReadPieces(const std::vector<int>& fds, const std::vector<Piece>& pieces, uint8_t* into,
                                 const std::function<bool()>& cancelled) {
  return PieceReader(fds, pieces, into).Read(cancelled);
}

void AdvisePieces(const std::vector<int>& fds, const std::vector<Piece>& pieces) {
  PieceReader(fds, pieces, nullptr).Advise();
}

}  // namespace pages
}  // namespace dk
