// Runs of a file, read one after another into one piece of memory.
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
std::vector<int64_t> ReadRuns(int fd, const std::vector<Run>& runs, uint8_t* into,
                              const std::function<bool()>& cancelled);

// The same, each run to its own place in `into`; as many places as runs, and room for each.
std::vector<int64_t> ReadPieces(int fd, const std::vector<Run>& runs, const std::vector<uint64_t>& places,
                                uint8_t* into, const std::function<bool()>& cancelled);

}  // namespace pages
}  // namespace dk
