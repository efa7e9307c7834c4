// Where two byte strings differ, and what the differing bytes are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_span.h"
#include "common/cpu.h"

namespace dk::sparse {

struct Run {
  uint32_t skip;    // bytes since the end of the run before
  uint32_t length;  // at least 1
};

// Collects runs in ascending order.
class RunList {
 public:
  // Runs closer than `gap_min` become one.
  explicit RunList(size_t gap_min) : gap_min_(gap_min) {}

  // Appends the runs of [base, base + length) of the target; `source` is nullptr where the source has ended and
  // counts as zeros. Returns whether there were any.
  bool Compare(const uint8_t* source, const uint8_t* target, size_t base, size_t length, Simd simd);

  const std::vector<Run>& runs() const { return runs_; }
  size_t changed() const { return changed_; }

 private:
  void Add(size_t start, size_t length);
  void Bits(uint64_t mask, size_t base);

  const size_t gap_min_;
  std::vector<Run> runs_;
  size_t end_ = 0;  // of the last run
  size_t changed_ = 0;
};

}  // namespace dk::sparse
