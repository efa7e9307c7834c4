// What the kernel says of all processes, read in one go: a look at them through a script takes three times as long.
#pragma once

#include <cstdint>
#include <vector>

namespace dk::pages {

struct ProcessRow {
  int64_t pid;
  // The letter of /proc/PID/stat: 'R', 'S', 'T', 'Z'...
  char state;
  int64_t parent;
  int64_t group;
  int64_t session;
  // Clock ticks since boot.
  uint64_t start_ticks;
};

// Appends a row for each process that /proc names, in its order. 0 or a negative errno, with nothing that counts
// appended. Who has ended meanwhile, or may not be looked at, has no row; -ENOTTY where there is no such directory.
int ListProcesses(std::vector<ProcessRow>* rows);

}  // namespace dk::pages
