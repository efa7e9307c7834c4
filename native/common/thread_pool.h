// The addon's own threads. libuv's pool is not used: it has four threads that
// the file system calls and DNS of the whole process share, and one long
// compression would hold them all up.
//
// One pool for the process, started at first use, never destroyed: the process
// may exit while a job runs, and a thread must not outlive what it uses.
#pragma once

#include <cstddef>
#include <functional>

namespace dk {

// Threads of the pool: the processors this process may use, at least 1, at most 4.
size_t PoolThreads();

// Runs `task` on a pool thread. The task must not throw. Any thread may call.
void PoolSubmit(std::function<void()> task);

// As PoolSubmit, for a task that mostly waits for the disk: it begins at once, however much there is to do, on one of
// three threads that take nothing but such tasks, as long as one of them is free.
void PoolSubmitWaiting(std::function<void()> task);

// While it stands, the calling thread waits for the disk: another thread of the pool works in its place, one at most.
// Any thread may make one; on a thread that is none of the pool's it does nothing. Not one inside another.
class PoolWait {
 public:
  PoolWait();
  ~PoolWait();
  PoolWait(const PoolWait&) = delete;
  PoolWait& operator=(const PoolWait&) = delete;
};

// Gives memory of malloc back on a pool thread: the event loop must not wait for the system to take it.
void PoolFree(void* memory) noexcept;

// Calls `body(i)` once for every i below `count`, on the calling thread and on
// whatever pool threads are free, and returns when all calls have returned. May
// be called from a pool thread: the caller works itself, so it cannot deadlock.
// The first exception of a body is thrown again here after all calls ended.
void ParallelFor(size_t count, const std::function<void(size_t)>& body);

}  // namespace dk
