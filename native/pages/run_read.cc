#include "pages/run_read.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace dk {
namespace pages {

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
  // Advice: that it cannot be taken is no failure.
  for (const Run& run : runs) {
    (void)posix_fadvise(fd, static_cast<off_t>(run.offset), static_cast<off_t>(run.length), POSIX_FADV_WILLNEED);
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
