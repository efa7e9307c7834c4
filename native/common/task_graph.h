// Tasks of which some need what earlier ones made, on the pool's threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace dk {

class TaskGraph {
 public:
  explicit TaskGraph(size_t count) : waits_(count), starts_(count + 1) {}

  // Task `later` begins when `earlier`, a smaller number, has ended. The same pair may come more than once.
  void Add(uint32_t earlier, uint32_t later);

  bool empty() const { return edges_.empty(); }

  // Calls `body(i)` once for each task, on the calling thread and on whatever pool threads are free, and returns
  // when all calls have returned. What became possible last runs first: a chain is followed to its end while what
  // it works on is still in the processor's cache. After an exception nothing more begins; the first one is thrown.
  // Call once.
  void Run(const std::function<void(size_t)>& body);

 private:
  struct Edge {
    uint32_t earlier;
    uint32_t later;
  };
  struct State;
  void Work(State* state, const std::function<void(size_t)>& body);
  void Sort();

  std::vector<uint32_t> waits_;   // per task: edges that still hold it back
  std::vector<uint32_t> starts_;  // per task: its first edge, once sorted
  std::vector<Edge> edges_;
};

}  // namespace dk
