// Where two byte strings differ, and what the differing bytes are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_span.h"
#include "common/memory_pool.h"
#include "sparse/sparse_masks.h"

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

// Finds the bytes that differ, and takes them while they are in the cache.
class ValueSink {
 public:
  virtual ~ValueSink() = default;
  // As MaskBlocks.
  virtual void Take(const uint8_t* source, const uint8_t* target, size_t blocks, uint64_t* masks) = 0;
};

// The masks that single bytes at one distance make, for as many blocks as one Compare takes, whatever the first one's
// offset.
class RegularMasks {
 public:
  static constexpr size_t kSkipMax = 1023;

  // Masks that begin with a block whose first changed byte is `offset` from it, each `skip` equal bytes behind the one
  // before. nullptr while making them would cost more than it can save. @param runs how many were found so far
  const uint64_t* From(size_t skip, size_t offset, size_t runs);
  // Whether they are made already.
  bool Has(size_t skip, size_t offset) const;

 private:
  size_t skip_ = 0;
  size_t next_ = 0;  // so many runs must have been found before others are made
  std::vector<uint64_t> masks_;
  std::vector<uint16_t> block_of_;  // for each offset where it occurs; kNone where it does not
};

// Collects runs in ascending order.
class RunList {
 public:
  // The longest stretch that one Compare takes.
  static constexpr size_t kCompareMax = 65536;

  // Runs closer than `gap_min` become one. With 1 the runs are exact, and `sink`, if any, gets their bytes.
  RunList(size_t gap_min, Simd simd, ValueSink* sink)
      : gap_min_(gap_min), kernels_(MaskKernelsFor(simd)), sink_(sink) {}

  // Appends the runs of [base, base + length) of the target; `source` is nullptr where the source has ended and
  // counts as zeros. Returns whether there were any.
  bool Compare(const uint8_t* source, const uint8_t* target, size_t base, size_t length);

  RunSpan runs() const { return {runs_.data(), used_}; }
  // Runs, each for itself.
  size_t count() const { return count_; }
  size_t changed() const { return changed_; }

 private:
  void Blocks(const uint8_t* source, const uint8_t* target, size_t base, size_t blocks);
  void Push(uint32_t skip, uint32_t length);
  void Add(size_t start, size_t length);
  size_t Follow(const uint64_t* masks, size_t base, size_t blocks);
  void Exact(const uint64_t* masks, size_t base, size_t blocks);
  void Bits(uint64_t mask, size_t base);

  const size_t gap_min_;
  const MaskKernels kernels_;
  ValueSink* const sink_;
  RegularMasks regular_;
  size_t exact_blocks_ = kBoundsMax;  // looked at before it is asked again whether they are regular
  RunRoom runs_;                      // with room ahead
  size_t used_ = 0;
  size_t count_ = 0;
  size_t end_ = 0;  // of the last run
  size_t changed_ = 0;
};

}  // namespace dk::sparse
