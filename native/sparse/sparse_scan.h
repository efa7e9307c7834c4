// Where two byte strings differ exactly: runs are handed over while they are found, their bytes while they are in the
// cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/byte_span.h"
#include "sparse/sparse_masks.h"
#include "sparse/sparse_summed.h"

namespace dk::sparse {

// Takes runs in ascending order; neighbours do not touch. Of each run: the equal bytes since the end of the one before,
// and its own bytes beyond the first.
class RunTaker {
 public:
  virtual ~RunTaker() = default;
  // Runs that may all differ, at most RunScan::kHandedMax.
  virtual void Singles(const uint32_t* skips, const uint32_t* extras, size_t count) = 0;
  // At least one, all equal.
  virtual void Equal(uint32_t skip, uint32_t extra, size_t count) = 0;
};

class ValueTaker {
 public:
  virtual ~ValueTaker() = default;
  // Fills `masks` as MaskBlocks does. @param base offset of the blocks in the target
  // @param sums wanted of a whole group, or nullptr; they need not be made
  virtual void Take(const uint8_t* source, const uint8_t* target, size_t base, size_t blocks, uint64_t* masks,
                    GroupSums* sums) = 0;
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

// Stands for a source that has ended; never written.
extern const uint8_t kZeros[65536];

class RunScan {
 public:
  // The longest stretch that one Compare takes.
  static constexpr size_t kCompareMax = sizeof kZeros;
  // The most runs that are handed over at once.
  static constexpr size_t kHandedMax = kRunsRoom + 1;

  // Without `runs` nobody looks where the changes are.
  RunScan(Simd simd, ValueTaker* values, RunTaker* runs)
      : kernels_(MaskKernelsFor(simd)), values_(values), runs_(runs) {}

  // Hands over what differs in [base, base + length) of the target; `source` is nullptr where the source has ended and
  // counts as zeros. Returns whether there was anything. @param sums of a whole group, made where that costs next to
  // nothing; or nullptr
  bool Compare(const uint8_t* source, const uint8_t* target, size_t base, size_t length, GroupSums* sums);
  // The last run, which might have gone on.
  void Finish();

  // Runs so far, each for itself.
  size_t count() const { return count_; }

 private:
  void Blocks(const uint8_t* source, const uint8_t* target, size_t base, size_t blocks);
  void Look(const uint64_t* masks, size_t base, size_t blocks);
  size_t Follow(const uint64_t* masks, size_t base, size_t blocks);
  void Exact(const uint64_t* masks, size_t base, size_t blocks);

  const MaskKernels kernels_;
  ValueTaker* const values_;
  RunTaker* const runs_;
  RegularMasks regular_;
  size_t exact_blocks_ = kRunBlocksMax;  // looked at before it is asked again whether they are regular
  size_t count_ = 0;
  size_t end_ = 0;  // of the last run
  // Equal runs that are not handed over yet.
  struct {
    uint32_t skip, extra;
    size_t count;
  } last_ = {0, 0, 0};
};

// Compares [start, start + length) of a target that may be longer than its source. @param sums as for RunScan::Compare
template <typename List>
bool CompareGroup(List* list, ByteSpan source, ByteSpan target, size_t start, size_t length, GroupSums* sums) {
  const size_t common = start < source.length ? (length < source.length - start ? length : source.length - start) : 0;
  const uint8_t* const at = target.data + start;
  GroupSums* const whole = common == length ? sums : nullptr;
  const bool changed = common > 0 && list->Compare(source.data + start, at, start, common, whole);
  if (common == length) return changed;
  list->Compare(nullptr, at + common, start + common, length - common, nullptr);
  return true;
}

}  // namespace dk::sparse
