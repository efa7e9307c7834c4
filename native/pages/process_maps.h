// Which files another process has mapped shared and writable, asked of the kernel one by one (PROCMAP_QUERY, Linux
// 6.11): the text of /proc/PID/maps lists hundreds of mappings, of which most processes have none of these.
#pragma once

#include <string>
#include <vector>

namespace dk::pages {

// Appends the names of the files, as the kernel spells them: with " (deleted)" behind those that have none any more. 0
// or a negative errno, with nothing that counts appended: -ENOTTY where the kernel cannot tell, -ESRCH... for a process
// that is gone.
int WritableMappings(int pid, std::vector<std::string>* names);

}  // namespace dk::pages
