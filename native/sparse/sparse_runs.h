// Lists of runs, and where two byte strings differ when runs that are close together count as one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_span.h"
#include "common/memory_pool.h"
#include "sparse/sparse_masks.h"
#include "sparse/sparse_summed.h"

namespace dk::sparse {

// Equal runs, one after the other; neighbours differ.
struct Run {
  uint32_t skip;    // bytes since the end of the run before
  uint32_t length;  // at least 1
  uint32_t count;   // at least 1
};

struct RunSpan {
  const Run* data;
  size_t size;

  const Run* begin() const { return data; }
  const Run* end() const { return data + size; }
  const Run& operator[](size_t i) const { return data[i]; }
};

// Memory for runs. A vector would walk through what it makes room for.
class RunRoom {
 public:
  RunRoom() = default;
  RunRoom(const RunRoom&) = delete;
  RunRoom& operator=(const RunRoom&) = delete;
  ~RunRoom() { Give(); }

  // Room for `count` runs at least; the first `used` stay. Throws std::bad_alloc.
  void Reserve(size_t count, size_t used);
  Run* data() { return runs_; }
  const Run* data() const { return runs_; }

 private:
  void Give() { GiveMemory(reinterpret_cast<uint8_t*>(runs_), count_ * sizeof(Run)); }

  Run* runs_ = nullptr;
  size_t count_ = 0;
};

// Collects runs in ascending order; those closer than `gap_min` become one.
class RunList {
 public:
  RunList(size_t gap_min, Simd simd) : gap_min_(gap_min), kernels_(MaskKernelsFor(simd)) {}

  // Appends the runs of [base, base + length) of the target, at most RunScan::kCompareMax bytes; `source` is nullptr
  // where the source has ended and counts as zeros. Returns whether there were any. Makes no sums.
  bool Compare(const uint8_t* source, const uint8_t* target, size_t base, size_t length, GroupSums* sums);

  RunSpan runs() const { return {runs_.data(), used_}; }
  // Runs, each for itself.
  size_t count() const { return count_; }
  // The bytes of all of them.
  size_t changed() const { return changed_; }

 private:
  void Push(uint32_t skip, uint32_t length);
  void Add(size_t start, size_t length);
  void Bits(uint64_t mask, size_t base);

  const size_t gap_min_;
  const MaskKernels kernels_;
  RunRoom runs_;  // with room ahead
  size_t used_ = 0;
  size_t count_ = 0;
  size_t end_ = 0;  // of the last run
  size_t changed_ = 0;
};

}  // namespace dk::sparse
