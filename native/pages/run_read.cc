#include "pages/run_read.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace dk {
namespace pages {
namespace {

// A disk reads so much more as soon as it begins anew.
constexpr uint64_t kAdviseGapBytes = 32u << 10;

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
  for (size_t i = 0; i < runs.size();) {
    const uint64_t begin = runs[i].offset;
    uint64_t end = begin + runs[i].length;
    for (i += 1; i < runs.size() && runs[i].offset >= end && runs[i].offset - end <= kAdviseGapBytes; ++i) {
      end = runs[i].offset + runs[i].length;
    }
    (void)posix_fadvise(fd, static_cast<off_t>(begin), static_cast<off_t>(end - begin), POSIX_FADV_WILLNEED);
  }
#else
  (void)fd, (void)runs;
#endif
}

std::vector<int64_t> ReadRuns(int fd, const std::vector<Run>& runs, uint8_t* into,
                              const std::function<bool()>& cancelled) {
  std::vector<uint64_t> places(runs.size());
  uint64_t at = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    places[i] = at;
    at += runs[i].length;
  }
  return ReadPieces(fd, runs, places, into, cancelled);
}

std::vector<int64_t> ReadPieces(int fd, const std::vector<Run>& runs, const std::vector<uint64_t>& places,
                                uint8_t* into, const std::function<bool()>& cancelled) {
  // The system then reads the later runs while the first is copied.
  if (runs.size() > 1) AdviseRuns(fd, runs);
  std::vector<int64_t> done(runs.size(), 0);
  for (size_t i = 0; i < runs.size() && !cancelled(); ++i) done[i] = ReadRun(fd, runs[i], into + places[i]);
  return done;
}

}  // namespace pages
}  // namespace dk
