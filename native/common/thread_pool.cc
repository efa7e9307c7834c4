#include "common/thread_pool.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "common/memory_pool.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace dk {
namespace {

constexpr size_t kThreadsMax = 4;
// More only divide among them what a disk gives and takes at once.
constexpr size_t kDiskThreads = 3;
// Memory that nobody wanted for so long goes back to the system.
constexpr int64_t kSpareMs = 10'000;

// Whether this is a thread of the pool.
thread_local bool of_pool = false;

size_t CountThreads() {
#if defined(__linux__)
  // The affinity mask, not the machine: containers often get a few of many cores.
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    return std::clamp<size_t>(static_cast<size_t>(CPU_COUNT(&set)), 1, kThreadsMax);
  }
#endif
  return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kThreadsMax);
}

// False when the system gives none.
bool StartThread(std::function<void()> run) {
  // Signals belong to the threads of Node: block them while the thread inherits the mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    std::thread(std::move(run)).detach();
  } catch (const std::exception&) {
    started = false;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

class Pool {
 public:
  static Pool& Shared() {
    static Pool* pool = new Pool;  // Leaked on purpose, see the header.
    return *pool;
  }

  // The calling thread of the pool waits for the disk from now on.
  void BeginWait() {
    bool more = false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      --working_;
      ++waiting_;
      more = TakesSpare();
    }
    if (more) StartSpare();
    wake_.notify_one();
  }

  // It goes on at once: for a moment one thread more may be at work than there are processors.
  void EndWait() {
    std::lock_guard<std::mutex> lock(mutex_);
    ++working_;
    --waiting_;
  }

  // Helpers of a running job go first: the job is waiting for them.
  void Submit(std::function<void()> task, bool first) {
    bool more = false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (first) {
        tasks_.push_front(std::move(task));
      } else {
        tasks_.push_back(std::move(task));
      }
      more = TakesSpare();
    }
    if (more) StartSpare();
    wake_.notify_one();
  }

 private:
  Pool() {
    const size_t wanted = CountThreads();
    // Not before it is known how many there are.
    std::lock_guard<std::mutex> lock(mutex_);
    while (threads_ < wanted && StartThread([this] { Run(); })) ++threads_;
    // With some, this memory is theirs for good: then there are fewer.
    if (threads_ == 0) throw std::bad_alloc();
    // A thread that rests for good would not look at memory that comes later.
    OnSpareMemory([] {
      Pool& pool = Shared();
      // Not between its look and its rest.
      std::lock_guard<std::mutex> lock(pool.mutex_);
      pool.wake_.notify_one();
    });
  }

  // At the first time somebody has something to do that only those could do who wait. Under the lock.
  bool TakesSpare() {
    const bool more = !spare_ && waiting_ > 0 && !tasks_.empty() && working_ + waiting_ >= threads_;
    if (more) spare_ = true;
    return more;
  }

  void StartSpare() {
    if (StartThread([this] { Run(); })) return;
    std::lock_guard<std::mutex> lock(mutex_);
    spare_ = false;
  }

  [[noreturn]] void Run() {
    of_pool = true;
    for (;;) {
      std::function<void()> task;
      bool more = false;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        // What is left when too many are at work is taken by the first of them that is through with its own.
        while (tasks_.empty() || working_ >= threads_) Rest(&lock);
        ++working_;
        task = std::move(tasks_.front());
        tasks_.pop_front();
        more = TakesSpare();
      }
      if (more) StartSpare();
      task();
      std::lock_guard<std::mutex> lock(mutex_);
      --working_;
    }
  }

  // Until there may be a task. While memory lies idle, a look at it now and then.
  void Rest(std::unique_lock<std::mutex>* lock) {
    if (SpareMemory() == 0) {
      wake_.wait(*lock);
      return;
    }
    // By the system's clock: the steady one needs a newer C library, and nothing depends on the time.
    const auto until = std::chrono::system_clock::now() + std::chrono::milliseconds(kSpareMs / 2);
    if (wake_.wait_until(*lock, until) == std::cv_status::no_timeout) return;
    lock->unlock();
    TrimSpareMemory(kSpareMs);
    lock->lock();
  }

  // Those that the system gave, without the spare one.
  size_t threads_ = 0;  // guarded by mutex_
  // Threads with a task that do not wait for the disk.
  size_t working_ = 0;  // guarded by mutex_
  // Threads that do.
  size_t waiting_ = 0;  // guarded by mutex_
  // The thread that works for one that waits was started.
  bool spare_ = false;  // guarded by mutex_
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
};

// The threads of tasks that wait for the disk: while one is written, another is read. Started when all there are have
// something to do, and leaked as the pool is.
class DiskThreads {
 public:
  static DiskThreads& Shared() {
    static DiskThreads* threads = new DiskThreads;
    return *threads;
  }

  // False when the system gives no thread.
  bool Submit(std::function<void()>* task) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (idle_ <= tasks_.size() && threads_ < kDiskThreads && StartThread([this] { Run(); })) {
      ++threads_;
      ++idle_;
    }
    if (threads_ == 0) return false;
    tasks_.push_back(std::move(*task));
    wake_.notify_one();
    return true;
  }

 private:
  [[noreturn]] void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      while (tasks_.empty()) wake_.wait(lock);
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      --idle_;
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
      ++idle_;
    }
  }

  size_t threads_ = 0;  // guarded by mutex_
  // Those that have no task, or are about to take one.
  size_t idle_ = 0;  // guarded by mutex_
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;  // guarded by mutex_
};

// State of one ParallelFor. Shared, because a helper may get its turn long
// after the caller has finished all the work and gone.
struct Loop {
  Loop(size_t n, const std::function<void(size_t)>* b) : count(n), body(b) {}

  const size_t count;
  const std::function<void(size_t)>* body;  // Valid while an index below `count` is held.
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::condition_variable idle;
  size_t helping = 0;
  bool closed = false;
  std::exception_ptr failure;

  void Work() {
    for (;;) {
      const size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) return;
      try {
        (*body)(i);
      } catch (...) {
        std::lock_guard<std::mutex> lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  }

  void Help() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (closed) return;
      ++helping;
    }
    Work();
    std::lock_guard<std::mutex> lock(mutex);
    if (--helping == 0) idle.notify_all();
  }
};

}  // namespace

size_t PoolThreads() {
  static const size_t threads = CountThreads();
  return threads;
}

PoolWait::PoolWait() {
  if (of_pool) Pool::Shared().BeginWait();
}

PoolWait::~PoolWait() {
  if (of_pool) Pool::Shared().EndWait();
}

void PoolSubmit(std::function<void()> task) { Pool::Shared().Submit(std::move(task), false); }

void PoolSubmitWaiting(std::function<void()> task) {
  if (!DiskThreads::Shared().Submit(&task)) PoolSubmit(std::move(task));
}

void PoolFree(void* memory) noexcept {
  try {
    // Before other work: until then it counts as used.
    Pool::Shared().Submit([memory] { free(memory); }, true);
  } catch (const std::exception&) {
    // No room for the task, or no threads.
    free(memory);
  }
}

void ParallelFor(size_t count, const std::function<void(size_t)>& body) {
  if (count == 0) return;
  if (count == 1) return body(0);
  auto loop = std::make_shared<Loop>(count, &body);
  const size_t helpers = std::min(count, PoolThreads()) - 1;
  for (size_t i = 0; i < helpers; ++i) Pool::Shared().Submit([loop] { loop->Help(); }, true);
  loop->Work();
  std::unique_lock<std::mutex> lock(loop->mutex);
  loop->closed = true;
  loop->idle.wait(lock, [&] { return loop->helping == 0; });
  if (loop->failure) std::rethrow_exception(loop->failure);
}

}  // namespace dk
