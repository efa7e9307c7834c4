#include "sparse/sparse_runs.h"

#include <algorithm>
#include <cstring>

#include "sparse/sparse_scan.h"
#include "xor/xor_scan.h"

namespace dk::sparse {

void RunRoom::Reserve(size_t count, size_t used) {
  if (count <= count_) return;
  const size_t more = std::max(count, 2 * count_);
  Run* const runs = reinterpret_cast<Run*>(TakeMemory(more * sizeof(Run)));
  if (used > 0) memcpy(runs, runs_, used * sizeof(Run));
  Give();
  runs_ = runs;
  count_ = more;
}

inline void RunList::Push(uint32_t skip, uint32_t length) {
  ++count_;
  Run* const runs = runs_.data();
  if (used_ > 0 && runs[used_ - 1].skip == skip && runs[used_ - 1].length == length)
    ++runs[used_ - 1].count;
  else
    runs[used_++] = {skip, length, 1};
}

inline void RunList::Add(size_t start, size_t length) {
  changed_ += length;
  const size_t gap = start - end_;
  end_ = start + length;
  if (gap >= gap_min_ || used_ == 0) {
    Push(static_cast<uint32_t>(gap), static_cast<uint32_t>(length));
    return;
  }
  // The equal bytes in between count as changed; two runs that touch are one run in any case.
  changed_ += gap;
  Run* const runs = runs_.data();
  const Run last = runs[used_ - 1];
  if (last.count > 1)
    --runs[used_ - 1].count;
  else
    --used_;
  --count_;
  Push(last.skip, static_cast<uint32_t>(last.length + gap + length));
}

inline void RunList::Bits(uint64_t mask, size_t base) {
  while (mask != 0) {
    const unsigned first = static_cast<unsigned>(__builtin_ctzll(mask));
    const uint64_t rest = ~(mask >> first);
    const unsigned length = rest == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(rest));
    Add(base + first, length);
    if (first + length >= 64) return;
    mask &= ~uint64_t{0} << (first + length);
  }
}

bool RunList::Compare(const uint8_t* source, const uint8_t* target, size_t base, size_t length, GroupSums*) {
  const uint8_t* from = source == nullptr ? kZeros : source;
  const size_t same = xordelta::EqualPrefix(from, target, length);
  if (same == length) return false;
  // At most every other byte begins a run; one more is written ahead.
  runs_.Reserve(used_ + length / 2 + 2, used_);
  const size_t first = same / kBlock * kBlock;
  const size_t whole = length / kBlock * kBlock;
  uint64_t masks[RunScan::kCompareMax / kBlock + 1];
  kernels_.masks(from + first, target + first, (whole - first) / kBlock, masks);
  if (whole < length) {
    // A block of its own, equal beyond the end.
    uint8_t last[2][kBlock] = {};
    memcpy(last[0], from + whole, length - whole);
    memcpy(last[1], target + whole, length - whole);
    kernels_.masks(last[0], last[1], 1, masks + (whole - first) / kBlock);
  }
  for (size_t at = first; at < length; at += kBlock) Bits(masks[(at - first) / kBlock], base + at);
  return true;
}

}  // namespace dk::sparse
