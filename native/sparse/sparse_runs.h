// Where two byte strings differ, and what the differing bytes are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_span.h"
#include "common/cpu.h"

namespace dk::sparse {

// Equal runs, one after the other; neighbours differ.
struct Run {
  uint32_t skip;    // bytes since the end of the run before
  uint32_t length;  // at least 1
  uint32_t count;   // at least 1
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
  // Runs, each for itself.
  size_t count() const { return count_; }
  size_t changed() const { return changed_; }

 private:
  template <typename Mask>
  void CompareBy(const Mask& mask_of, const uint8_t* source, const uint8_t* target, size_t base, size_t length);
  void CompareAvx2(const uint8_t* source, const uint8_t* target, size_t base, size_t length);
  void CompareAvx512(const uint8_t* source, const uint8_t* target, size_t base, size_t length);
  void Push(uint32_t skip, uint32_t length);
  void Add(size_t start, size_t length);
  void Bits(uint64_t mask, size_t base);

  const size_t gap_min_;
  std::vector<Run> runs_;
  size_t count_ = 0;
  size_t end_ = 0;  // of the last run
  size_t changed_ = 0;
};

}  // namespace dk::sparse
