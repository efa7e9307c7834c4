#include "sparse/sparse_runs.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "xor/xor_scan.h"

namespace dk::sparse {
namespace {

// Stands for a source that has ended; never written.
uint8_t g_zeros[RunList::kCompareMax];

// For each skip the mask of single bytes that far apart, from the first bit on.
constexpr std::array<uint64_t, kBlock> Combs() {
  std::array<uint64_t, kBlock> combs = {};
  for (size_t skip = 1; skip < kBlock; ++skip) {
    for (size_t bit = 0; bit < kBlock; bit += skip + 1) combs[skip] |= uint64_t{1} << bit;
  }
  return combs;
}
constexpr std::array<uint64_t, kBlock> kCombs = Combs();

}  // namespace

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

// Single bytes at the distance of the ones before: nothing is looked at but whether it goes on so.
inline bool RunList::Continues(uint64_t mask, size_t base) {
  if (used_ == 0 || gap_min_ != 1) return false;
  Run& last = runs_.data()[used_ - 1];
  const size_t next = end_ + last.skip;
  if (last.length != 1 || last.skip == 0 || last.skip >= kBlock || next < base || next >= base + kBlock) return false;
  if (mask != kCombs[last.skip] << (next - base)) return false;
  // As many as the mask has bits: counting those is a call where the processor is not known.
  const unsigned bits = static_cast<unsigned>(base + kBlock - 1 - next) / (last.skip + 1) + 1;
  last.count += bits;
  count_ += bits;
  changed_ += bits;
  end_ = base + kBlock - static_cast<unsigned>(__builtin_clzll(mask));
  return true;
}

// Single bytes, none beside another. What the loop needs is held in registers.
inline void RunList::Points(uint64_t mask, size_t base) {
  Run* out = runs_.data() + used_;
  size_t end = end_;
  size_t points = 0;
  Run last = used_ > 0 ? out[-1] : Run{0, 0, 0};
  for (; mask != 0; mask &= mask - 1) {
    const size_t start = base + static_cast<unsigned>(__builtin_ctzll(mask));
    const uint32_t skip = static_cast<uint32_t>(start - end);
    end = start + 1;
    ++points;
    if (last.skip == skip && last.length == 1) {
      out[-1].count = ++last.count;
    } else {
      last = {skip, 1, 1};
      *out++ = last;
    }
  }
  used_ = static_cast<size_t>(out - runs_.data());
  count_ += points;
  changed_ += points;
  end_ = end;
}

inline void RunList::Bits(uint64_t mask, size_t base) {
  // Scattered bytes: every run is one byte, and none touches the run before.
  if (gap_min_ == 1 && (mask & (mask << 1)) == 0 && ((mask & 1) == 0 || end_ != base || used_ == 0)) {
    Points(mask, base);
    return;
  }
  while (mask != 0) {
    const unsigned first = static_cast<unsigned>(__builtin_ctzll(mask));
    const uint64_t rest = ~(mask >> first);
    const unsigned length = rest == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(rest));
    Add(base + first, length);
    if (first + length >= 64) return;
    mask &= ~uint64_t{0} << (first + length);
  }
}

void RunList::Blocks(const uint8_t* source, const uint8_t* target, size_t base, size_t blocks) {
  uint64_t masks[kCompareMax / kBlock];
  kernels_.masks(source, target, blocks, masks);
  const size_t before = changed_;
  for (size_t block = 0; block < blocks; ++block) {
    const uint64_t mask = masks[block];
    const size_t at = base + block * kBlock;
    if (mask != 0 && !Continues(mask, at)) Bits(mask, at);
  }
  if (sink_ != nullptr && changed_ != before) sink_->Take(source, target, masks, blocks, changed_ - before);
}

bool RunList::Compare(const uint8_t* source, const uint8_t* target, size_t base, size_t length) {
  const uint8_t* from = source == nullptr ? g_zeros : source;
  // Long equal stretches go by at the speed of memory.
  const size_t same = xordelta::EqualPrefix(from, target, length);
  if (same == length) return false;
  // At most every other byte begins a run.
  runs_.Reserve(used_ + length / 2 + 1, used_);
  const size_t first = same / kBlock * kBlock;
  const size_t whole = length / kBlock * kBlock;
  if (first < whole) Blocks(from + first, target + first, base + first, (whole - first) / kBlock);
  if (whole < length) {
    // A block of its own, equal beyond the end.
    uint8_t last[2][kBlock] = {};
    memcpy(last[0], from + whole, length - whole);
    memcpy(last[1], target + whole, length - whole);
    Blocks(last[0], last[1], base + whole, 1);
  }
  return true;
}

}  // namespace dk::sparse
