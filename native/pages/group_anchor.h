// Keeps process groups of our session from being orphaned should we die.
#pragma once

#include <sys/types.h>

#include <vector>

namespace dk::pages {

// Starts a holder, a child of ours in a group of its own, and below it one process in each of the groups that can be
// entered: `pids` gets the holder first, then those. They have all signals blocked and end by themselves after
// `seconds`, and whoever the holder leaves behind with it (PR_SET_PDEATHSIG). `mark`: their whole environment, one
// variable. Descriptors that are not closed on exec are handed on. Gives 0 with nobody started when no group could be
// entered, otherwise a negative errno where nobody could be started.
//
// The calling thread waits until the programs run, which is a matter of a millisecond.
int AnchorGroups(const std::vector<pid_t>& groups, unsigned seconds, const char* mark, std::vector<pid_t>* pids);

}  // namespace dk::pages
