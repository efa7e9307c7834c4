// The kernel sends SIGHUP to a group with stopped processes when the last of its processes goes that has a parent in
// another group of the same session. Such a process, and its parent, is all that is needed to prevent that.
//
//   we ── holder (group of its own) ─┬─ anchor in group A
//                                    └─ anchor in group B
//
// Nobody but a process itself, or its parent before it runs another program, can move it to another group, so no
// program started by Node could do that. vfork twice, since a copy of this process would be in the way of everybody:
// between vfork and exec the children borrow our memory, so they call the system and nothing else.
#include "pages/group_anchor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/wait.h>
#endif

namespace dk::pages {
namespace {

#if defined(__linux__)

// What the borrowers of our memory read, and tell.
struct Plan {
  const pid_t* groups;
  size_t count;
  char* const* words;
  char* const* environment;
  // Of each group: who is in it; 0 where nobody is.
  volatile pid_t* anchors;
  volatile int error;
};

[[noreturn]] void Sleep(Plan* plan) {
  for (const char* program : {"/bin/sleep", "/usr/bin/sleep"}) execve(program, plan->words, plan->environment);
  plan->error = errno;
  _exit(127);
}

[[noreturn]] void BecomeAnchor(Plan* plan, size_t at, pid_t holder) {
  // The holder may have been killed before it was asked for.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != holder) _exit(1);
  // Nobody may be left of the group.
  if (setpgid(0, plan->groups[at]) != 0) _exit(1);
  plan->anchors[at] = getpid();
  Sleep(plan);
}

[[noreturn]] void BecomeHolder(Plan* plan) {
  const pid_t holder = getpid();
  // Whoever ends below it needs no collecting.
  signal(SIGCHLD, SIG_IGN);
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {0, 1, 2}) {
    if (nothing < 0 || dup2(nothing, fd) != fd) {
      plan->error = errno;
      _exit(1);
    }
  }
  if (chdir("/") != 0 || setpgid(0, 0) != 0) {
    plan->error = errno;
    _exit(1);
  }
  bool any = false;
  for (size_t at = 0; at < plan->count; ++at) {
    const pid_t anchor = vfork();
    if (anchor == 0) BecomeAnchor(plan, at, holder);
    if (anchor < 0 || plan->error != 0) _exit(1);
    any = any || plan->anchors[at] != 0;
  }
  if (!any) _exit(0);
  Sleep(plan);
}

#endif

}  // namespace

int AnchorGroups(const std::vector<pid_t>& groups, unsigned seconds, const char* mark, std::vector<pid_t>* pids) {
  pids->clear();
#if defined(__linux__)
  char time[16];
  std::snprintf(time, sizeof time, "%u", seconds);
  char name[] = "sleep";
  char* const words[] = {name, time, nullptr};
  char* const environment[] = {const_cast<char*>(mark), nullptr};
  std::vector<pid_t> anchors(groups.size(), 0);
  Plan plan{groups.data(), groups.size(), words, environment, anchors.data(), 0};
  // They keep all of them blocked: a terminal's signals to the group are not theirs, and no handler of ours may run in
  // borrowed memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t holder = vfork();
  if (holder == 0) BecomeHolder(&plan);
  const int error = holder < 0 ? errno : plan.error;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (holder < 0) return -error;
  pids->push_back(holder);
  for (const pid_t anchor : anchors) {
    if (anchor != 0) pids->push_back(anchor);
  }
  if (error == 0 && pids->size() > 1) return 0;
  // It has ended, or could not become what it was to be.
  while (waitpid(holder, nullptr, 0) < 0 && errno == EINTR) {
  }
  pids->clear();
  return -error;
#else
  (void)groups, (void)seconds, (void)mark;
  return -ENOSYS;
#endif
}

}  // namespace dk::pages
