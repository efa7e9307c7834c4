// Runs one check of the thread pool; thread-pool.test.ts builds and calls it. It never ends when a wakeup is lost, and
// says what is wrong otherwise. The machine has as many processors as the first argument says, or fewer.
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "common/memory_pool.h"
#include "common/thread_pool.h"

// How many threads the system gives from now on.
static std::atomic<int> threads_left{1 << 20};

// In place of the system's, for the C++ library as well.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                              void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  if (threads_left.fetch_sub(1) <= 0) return EAGAIN;
  return create(thread, attributes, run, argument);
}

namespace {

void Must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::_Exit(1);
}

// Counts, and lets others wait for a count.
class Counter {
 public:
  void Add() {
    std::lock_guard<std::mutex> lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  void Await(size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return count_ >= count; });
    Must(count_ == count, "nothing runs twice");
  }
  size_t Now() {
    std::lock_guard<std::mutex> lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t count_ = 0;
};

// Keeps all threads of the pool at work until it is opened.
class Blockade {
 public:
  Blockade() {
    for (size_t i = 0; i < dk::PoolThreads(); ++i) {
      dk::PoolSubmit([this] {
        begun_.Add();
        open_.Await(1);
        ended_.Add();
      });
    }
    begun_.Await(dk::PoolThreads());
  }
  ~Blockade() {
    open_.Add();
    ended_.Await(dk::PoolThreads());
  }

 private:
  Counter begun_, open_, ended_;
};

void RunsEach() {
  constexpr size_t kCallers = 4, kEach = 5000;
  Counter ran;
  std::vector<std::thread> callers;
  for (size_t i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      for (size_t k = 0; k < kEach; ++k) dk::PoolSubmit([&] { ran.Add(); });
    });
  }
  for (std::thread& caller : callers) caller.join();
  ran.Await(kCallers * kEach);
}

// While all threads wait for the disk, what comes later is done by another.
void WorksWhileWaiting() {
  Counter waiting, later, ended;
  for (size_t i = 0; i < dk::PoolThreads(); ++i) {
    dk::PoolSubmit([&] {
      {
        const dk::PoolWait wait;
        waiting.Add();
        later.Await(1);
      }
      ended.Add();
    });
  }
  waiting.Await(dk::PoolThreads());
  dk::PoolSubmit([&] { later.Add(); });
  ended.Await(dk::PoolThreads());
}

// Not for good: afterwards no more work at once than there are threads.
void IsBounded() {
  for (int round = 0; round < 20; ++round) WorksWhileWaiting();
  std::atomic<size_t> at_work{0}, most{0};
  Counter ran;
  constexpr size_t kTasks = 400;
  for (size_t i = 0; i < kTasks; ++i) {
    dk::PoolSubmit([&] {
      const size_t now = at_work.fetch_add(1) + 1;
      size_t before = most.load();
      while (before < now && !most.compare_exchange_weak(before, now)) {
      }
      std::this_thread::yield();
      at_work.fetch_sub(1);
      ran.Add();
    });
  }
  ran.Await(kTasks);
  Must(most <= dk::PoolThreads(), "no more threads work at once than there are processors");
}

// However much there is to do, a few at a time.
void DiskTasksBegin() {
  Counter ran, looped;
  std::atomic<size_t> at_work{0};
  // As PoolSubmitWaiting promises.
  constexpr size_t kAtOnce = 3;
  constexpr size_t kTasks = 200;
  const Blockade blockade;
  for (size_t i = 0; i < kTasks; ++i) {
    dk::PoolSubmitWaiting([&] {
      Must(at_work.fetch_add(1) < kAtOnce, "a few run at a time");
      // No thread of the pool has time for it.
      dk::ParallelFor(3, [&](size_t) { looped.Add(); });
      at_work.fetch_sub(1);
      ran.Add();
    });
  }
  ran.Await(kTasks);
  looped.Await(3 * kTasks);
}

// All of it at once, tasks that submit tasks among it.
void Stress() {
  constexpr size_t kTasks = 3000;
  Counter ran, looped;
  for (size_t i = 0; i < kTasks; ++i) {
    const auto task = [&, i] {
      if (i % 3 == 0) {
        const dk::PoolWait wait;
        std::this_thread::yield();
      }
      dk::ParallelFor(i % 5, [&](size_t k) {
        if (k == 1) {
          const dk::PoolWait wait;
          std::this_thread::yield();
        }
        looped.Add();
      });
      dk::PoolSubmit([&] { ran.Add(); });
    };
    if (i % 7 == 0) {
      dk::PoolSubmitWaiting(task);
    } else {
      dk::PoolSubmit(task);
    }
  }
  ran.Await(kTasks);
  looped.Await(kTasks / 5 * (0 + 1 + 2 + 3 + 4));
}

// The system gives the pool a thread less than it wants, and none to anybody else.
void FewThreads() {
  threads_left = 1;
  Counter ran;
  for (int i = 0; i < 100; ++i) {
    dk::PoolSubmit([&] { ran.Add(); });
    dk::PoolSubmitWaiting([&] { ran.Add(); });
    dk::PoolSubmit([&] {
      const dk::PoolWait wait;
      ran.Add();
    });
  }
  ran.Await(300);
  dk::ParallelFor(8, [&](size_t) { ran.Add(); });
  ran.Await(308);
}

// None at all is told, and tried again.
void NoThreads() {
  threads_left = 0;
  for (int i = 0; i < 2; ++i) {
    bool told = false;
    try {
      dk::PoolSubmit([] {});
    } catch (const std::bad_alloc&) {
      told = true;
    }
    Must(told, "a pool without threads is told of");
  }
  void* memory = std::malloc(100);
  dk::PoolFree(memory);
  threads_left = 1 << 20;
  RunsEach();
}

// The first failure of a body comes out after all calls have ended.
void Throws() {
  Counter ran;
  bool thrown = false;
  try {
    dk::ParallelFor(50, [&](size_t i) {
      ran.Add();
      if (i % 10 == 3) throw i;
    });
  } catch (size_t i) {
    thrown = i % 10 == 3;
  }
  Must(thrown, "what a body throws comes out");
  ran.Await(50);
}

void LimitProcessors(int count) {
  cpu_set_t all, some;
  CPU_ZERO(&some);
  if (sched_getaffinity(0, sizeof all, &all) != 0) return;
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&some) < count; ++i) {
    if (CPU_ISSET(i, &all)) CPU_SET(i, &some);
  }
  sched_setaffinity(0, sizeof some, &some);
}

}  // namespace

int main(int, char** words) {
  const struct {
    const char* name;
    void (*run)();
  } checks[] = {{"each", RunsEach},     {"waiting", WorksWhileWaiting},
                {"bounded", IsBounded}, {"disk", DiskTasksBegin},
                {"stress", Stress},     {"few", FewThreads},
                {"none", NoThreads},    {"throws", Throws}};
  LimitProcessors(std::atoi(words[1]));
  for (const auto& check : checks) {
    if (std::strcmp(check.name, words[2]) != 0) continue;
    check.run();
    std::printf("%zu threads, done\n", dk::PoolThreads());
    std::fflush(stdout);
    // Threads of the pool never end.
    std::_Exit(0);
  }
  return 2;
}
