#include "common/task_graph.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "common/thread_pool.h"

namespace dk {

struct TaskGraph::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<uint32_t> ready;  // guarded by mutex, as all of this
  size_t left = 0;
  bool stopped = false;

  bool over() const { return left == 0 || stopped; }
};

void TaskGraph::Add(uint32_t earlier, uint32_t later) {
  edges_.push_back({earlier, later});
  ++waits_[later];
}

void TaskGraph::Sort() {
  std::stable_sort(edges_.begin(), edges_.end(), [](const Edge& a, const Edge& b) { return a.earlier < b.earlier; });
  for (const Edge& edge : edges_) ++starts_[edge.earlier + 1];
  for (size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
}

void TaskGraph::Run(const std::function<void(size_t)>& body) {
  Sort();
  State state;
  state.left = waits_.size();
  for (size_t i = waits_.size(); i-- > 0;) {
    if (waits_[i] == 0) state.ready.push_back(static_cast<uint32_t>(i));
  }
  // A thread that comes late, or not at all, finds nothing left: the others do not wait for it.
  ParallelFor(std::min(PoolThreads(), waits_.size()), [&](size_t) { Work(&state, body); });
}

void TaskGraph::Work(State* state, const std::function<void(size_t)>& body) {
  std::unique_lock<std::mutex> lock(state->mutex);
  for (;;) {
    state->changed.wait(lock, [state] { return state->over() || !state->ready.empty(); });
    if (state->over()) return;
    const uint32_t task = state->ready.back();
    state->ready.pop_back();
    lock.unlock();
    try {
      body(task);
    } catch (...) {
      lock.lock();
      state->stopped = true;
      state->changed.notify_all();
      throw;
    }
    lock.lock();
    --state->left;
    size_t freed = 0;
    for (uint32_t at = starts_[task]; at < starts_[task + 1]; ++at) {
      const uint32_t later = edges_[at].later;
      if (--waits_[later] > 0) continue;
      state->ready.push_back(later);
      ++freed;
    }
    // One of them is this thread's own next.
    if (freed > 1 || state->over()) state->changed.notify_all();
  }
}

}  // namespace dk
