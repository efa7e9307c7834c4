// Starts the application. Node's own start of programs loses real-time signals that end them, and hands on no
// descriptors by their numbers.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace dk::pages {

struct ProgramStart {
  // What is tried, in this order, as a search along PATH does.
  std::vector<std::string> files;
  // Arguments, the name of the program first.
  std::vector<std::string> words;
  // NAME=VALUE.
  std::vector<std::string> environment;
  // Name of one more variable, whose value is the new process's id; empty: none.
  std::string pid_variable;
  // Empty: ours.
  std::string directory;
  // A session, and so a process group, of its own.
  bool own_session = false;
  // Stay open under their numbers, beside 0, 1 and 2; all others are closed.
  std::vector<int> descriptors;
};

// Gives 0, or a negative errno with nobody started; -ENOSYS where only Node can do it. The program runs when this
// returns: each signal as the system has it by default, none blocked, 0 to 2 blocking. It is for CollectProgram to
// collect. The calling thread waits for a millisecond.
int StartProgram(const ProgramStart& start, pid_t* pid);

enum class ProgramState { kRuns, kExited, kKilled, kUnknown };

// How a child ended, which it collects then; `number`: exit code, or number of the signal. Unknown: somebody else has
// collected it.
ProgramState CollectProgram(pid_t pid, int* number);

}  // namespace dk::pages
