// Runs of a file, read one after another into one piece of memory; pieces of several files, read to anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace dk {
namespace pages {

struct Run {
  uint64_t offset = 0;
  uint64_t length = 0;
};

// Reads one run to `into`: the bytes read (fewer than asked where the file ends) or a negative errno.
int64_t ReadRun(int fd, const Run& run, uint8_t* into);

// Tells the system that these runs will be read soon, so that it fetches them while something else is done.
void AdviseRuns(int fd, const std::vector<Run>& runs);

// Reads the runs to `into`, each behind the room of those before it. Gives, per run, the bytes read (fewer than asked
// where the file ends) or a negative errno. `cancelled` is asked between runs; true ends early.
// With `direct`, long runs that are not in memory go past the page cache, which they would only pass through, as far as
// they and their room consist of whole pages and the file system lets them.
std::vector<int64_t> ReadRuns(int fd, const std::vector<Run>& runs, uint8_t* into, bool direct,
                              const std::function<bool()>& cancelled);

// A piece of one of several files, and where it belongs.
struct Piece {
  uint32_t file = 0;
  Run run;
  uint64_t place = 0;
};

// Reads pieces of files, in any order, to their places in `into`; there is room for each. Gives the numbers of those
// that could not be read whole, ascending. On the threads of the pool; `cancelled` is asked now and then.
std::vector<uint32_t> ReadPieces(const std::vector<int>& fds, const std::vector<Piece>& pieces, uint8_t* into,
                                 const std::function<bool()>& cancelled);

// Tells the system that these pieces will be read soon.
void AdvisePieces(const std::vector<int>& fds, const std::vector<Piece>& pieces);

}  // namespace pages
}  // namespace dk
