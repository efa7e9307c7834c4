// vfork, since a copy of this process would be in the way of everybody. Until it runs the program the child borrows our
// memory, so that everything it needs is laid out before, and it calls the system and nothing else.
#include "pages/program_start.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#if defined(__linux__)
#include <sys/syscall.h>
#include <sys/wait.h>
#endif

namespace dk::pages {

#if defined(__linux__)

namespace {

constexpr int kSignalMax = 64;
constexpr size_t kPidDigits = 12;

struct Plan {
  const ProgramStart* start;
  std::vector<char*> files;
  std::vector<char*> words;
  // For what is no program and names none: the shell reads it, as for everybody who starts programs.
  std::vector<char*> shell_words;
  std::vector<char*> environment;
  // Where the digits of the process id go; null: nowhere.
  char* pid_digits;
  volatile int error;
};

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 2);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  return pointers;
}

void WriteNumber(char* to, pid_t number) {
  char digits[kPidDigits];
  size_t count = 0;
  for (; number > 0 && count < kPidDigits - 1; number /= 10) digits[count++] = static_cast<char>('0' + number % 10);
  while (count > 0) *to++ = digits[--count];
  *to = '\0';
}

// In the child: its table of descriptors is its own, although its memory is not.
void ArrangeDescriptors(const ProgramStart& start) {
  // By number, since the name needs glibc 2.34; it is the same on every processor. Without it our caller has marked
  // them.
  constexpr long kCloseRange = 436;
  constexpr unsigned kMarkOnly = 1u << 2;
  syscall(kCloseRange, 3u, ~0u, kMarkOnly);
  for (const int fd : start.descriptors) fcntl(fd, F_SETFD, 0);
  for (int fd = 0; fd < 3; ++fd) {
    fcntl(fd, F_SETFD, 0);
    // Ours may be waited for by an event loop; a program expects to be made to wait.
    const int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) != 0) fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
  }
}

// First none of our handlers is left, then signals come through: they would run in borrowed memory.
void DefaultSignals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number <= kSignalMax; ++number) {
    if (number != SIGKILL && number != SIGSTOP) sigaction(number, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The search goes on after these.
bool IsAbsent(int error) {
  return error == ENOENT || error == ENOTDIR || error == ESTALE || error == ENODEV || error == ETIMEDOUT;
}

[[noreturn]] void Become(Plan* plan) {
  const ProgramStart& start = *plan->start;
  if (start.own_session) setsid();
  ArrangeDescriptors(start);
  if (!start.directory.empty() && chdir(start.directory.c_str()) != 0) {
    plan->error = errno;
    _exit(127);
  }
  if (plan->pid_digits != nullptr) WriteNumber(plan->pid_digits, getpid());
  DefaultSignals();
  bool denied = false;
  int error = ENOENT;
  for (char* const file : plan->files) {
    execve(file, plan->words.data(), plan->environment.data());
    if (errno == ENOEXEC) {
      plan->shell_words[1] = file;
      execve(plan->shell_words[0], plan->shell_words.data(), plan->environment.data());
    }
    error = errno;
    denied = denied || error == EACCES;
    if (!IsAbsent(error) && error != EACCES) break;
  }
  plan->error = denied && IsAbsent(error) ? EACCES : error;
  _exit(127);
}

}  // namespace

int StartProgram(const ProgramStart& start, pid_t* pid) {
  if (start.files.empty() || start.words.empty()) return -ENOENT;
  Plan plan{&start, Pointers(start.files), Pointers(start.words), {}, Pointers(start.environment), nullptr, 0};
  char shell[] = "/bin/sh";
  // The file's name takes the place of the program's.
  plan.shell_words = plan.words;
  plan.shell_words.insert(plan.shell_words.begin(), shell);
  std::string variable;
  if (!start.pid_variable.empty()) {
    variable = start.pid_variable + '=';
    const size_t at = variable.size();
    variable.append(kPidDigits, '\0');
    plan.pid_digits = variable.data() + at;
    plan.environment.push_back(variable.data());
  }
  plan.words.push_back(nullptr);
  plan.shell_words.push_back(nullptr);
  plan.environment.push_back(nullptr);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = vfork();
  if (child == 0) Become(&plan);
  const int error = child < 0 ? errno : plan.error;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child > 0 && error != 0) {
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  *pid = child;
  return -error;
}

ProgramState CollectProgram(pid_t pid, int* number) {
  int status = 0;
  const pid_t found = waitpid(pid, &status, WNOHANG);
  if (found == 0 || (found < 0 && errno == EINTR)) return ProgramState::kRuns;
  if (found != pid) return ProgramState::kUnknown;
  if (WIFSIGNALED(status)) {
    *number = WTERMSIG(status);
    return ProgramState::kKilled;
  }
  *number = WEXITSTATUS(status);
  return ProgramState::kExited;
}

#else

int StartProgram(const ProgramStart&, pid_t*) { return -ENOSYS; }
ProgramState CollectProgram(pid_t, int*) { return ProgramState::kUnknown; }

#endif

}  // namespace dk::pages
